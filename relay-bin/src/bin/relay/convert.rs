//! `relay convert`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::{Out, files, print};

const EXAMPLES: &str = "\
Examples:
  relay convert deploy.yaml                        YAML documents, the Workflow first
  relay convert deploy.yaml --tenant acme | kubectl apply -f -
  relay convert deploy.yaml --out json | jq '.items[].kind'";

/// What `relay convert` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The workflow file
    file: PathBuf,
    /// The tenant that the resources belong to; the workflow's name where none is given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

/// Converts a file; the exit code.
pub(crate) async fn convert(options: &Options, out: Out) -> u8 {
    let checked = match files::read(&options.file) {
        Ok(checked) => checked,
        Err(message) => {
            print::error(&message);
            return 2;
        }
    };
    let mut findings = checked.parsed.findings;
    let mut resources = None;
    if let Some(mut file) = checked.parsed.file {
        if file.holds_resources {
            print::error(&format!("{} holds resources already", checked.name));
            return 2;
        }
        findings.extend(files::load_inputs(&options.file, &mut file).await);
        findings.extend(files::load_webhook_inputs(&options.file, &mut file).await);
        let converted = file.convert(options.tenant.as_deref());
        findings.extend(converted.warnings.iter().cloned());
        resources = Some(converted);
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    // There is nobody left to tell that standard error is gone.
    let _ = print::findings(&checked.name, &findings, &mut io::stderr().lock());
    let Some(resources) = resources.filter(|_| !files::has_errors(&findings)) else { return 1 };
    let text = match out {
        Out::Text => resources.to_yaml(),
        Out::Json => resources.to_json(),
    };
    let mut stdout = io::stdout().lock();
    let printed = text
        .map_err(io::Error::other)
        .and_then(|text| write!(stdout, "{text}"))
        .and_then(|()| stdout.flush());
    match printed {
        Ok(()) => 0,
        Err(error) => {
            print::error(&format!("cannot print: {error}"));
            2
        }
    }
}
