//! `relay validate`.

use std::io::{self, Write};
use std::path::PathBuf;

use relay_model::workflow_file::Level;
use serde_json::Value;

use crate::files::{self, Checked};
use crate::{Out, print};

/// Checks files; the exit code.
pub(crate) fn validate(paths: &[PathBuf], strict: bool, out: Out) -> u8 {
    let mut unreadable = false;
    let mut checked: Vec<Checked> = Vec::new();
    for path in paths {
        match files::read(path) {
            Ok(file) => checked.push(file),
            Err(message) => {
                print::error(&message);
                unreadable = true;
            }
        }
    }
    if strict {
        for finding in checked.iter_mut().flat_map(|file| &mut file.parsed.findings) {
            finding.level = Level::Error;
        }
    }
    if let Err(error) = show(&checked, out, &mut io::stdout().lock()) {
        print::error(&format!("cannot print: {error}"));
        return 2;
    }
    let errors = checked.iter().any(|file| file.count(Level::Error) > 0);
    match (unreadable, errors) {
        (true, _) => 2,
        (_, true) => 1,
        _ => 0,
    }
}

fn show(checked: &[Checked], out: Out, stdout: &mut dyn Write) -> io::Result<()> {
    match out {
        Out::Text => {
            for file in checked {
                print::findings(&file.name, &file.parsed.findings, stdout)?;
                print::totals(file, stdout)?;
            }
        }
        Out::Json => {
            let list: Vec<Value> = checked
                .iter()
                .flat_map(|file| {
                    let findings = file.parsed.findings.iter();
                    findings.map(|finding| print::finding_json(&file.name, finding))
                })
                .collect();
            writeln!(stdout, "{}", Value::from(list))?;
        }
    }
    stdout.flush()
}
