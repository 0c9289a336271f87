//! `relay convert`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use relay_model::workflow_file::{Code, Finding, WorkflowFile};

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
pub(crate) fn convert(options: &Options, out: Out) -> u8 {
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
        findings.extend(files::load_inputs(&options.file, &mut file));
        findings.extend(load_webhook_inputs(&options.file, &mut file));
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

/// Puts the scripts of webhooks that lie in files of their own into their places.
fn load_webhook_inputs(path: &Path, file: &mut WorkflowFile) -> Vec<Finding> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let inputs: Vec<_> = file
        .webhook_input_files()
        .map(|(trigger, input)| (trigger.to_owned(), input.clone()))
        .collect();
    let mut findings = Vec::new();
    for (trigger, input) in inputs {
        let read = if input.path.contains("://") {
            Err("scripts of webhooks are read from files; save it beside the workflow".to_owned())
        } else {
            std::fs::read_to_string(folder.join(&input.path)).map_err(|error| error.to_string())
        };
        match read {
            Ok(text) => file.set_webhook_input(&trigger, text),
            Err(problem) => {
                let message =
                    format!("cannot read {:?} of trigger {trigger:?}: {problem}", input.path);
                findings.push(Finding::new(Code::InputFile, input.location, message));
            }
        }
    }
    findings
}
