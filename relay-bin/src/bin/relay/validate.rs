//! `relay validate`.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use relay_model::schedule::Schedule;
use relay_model::workflow_file::{
    Code, Finding, Level, Style, TriggerSource, WorkflowFile, render,
};
use serde_json::{Value, json};

use crate::files::{self, Checked};
use crate::{Out, print};

/// How many times of a schedule are shown.
const SHOWN_TIMES: usize = 5;

const EXAMPLES: &str = "\
Examples:
  relay validate workflows/*.yaml
  relay validate deploy.yaml --strict              warnings stop a build as well
  relay validate deploy.yaml --explain             when its schedules fire next
  relay validate deploy.yaml --out json | jq -r '.[] | \"\\(.line) \\(.code)\"'";

/// What `relay validate` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The workflow files
    #[arg(value_name = "FILE", required_unless_present = "named")]
    files: Vec<PathBuf>,
    /// A workflow file, as older commands name it; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", id = "named")]
    named: Vec<PathBuf>,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// Show when schedules fire next, and by which zone
    #[arg(long)]
    explain: bool,
}

/// Checks files; the exit code.
pub(crate) fn validate(options: &Options, out: Out) -> u8 {
    let mut unreadable = false;
    let mut checked: Vec<Checked> = Vec::new();
    for path in options.files.iter().chain(&options.named) {
        match files::read(path) {
            Ok(mut file) => {
                check_scripts(path, &mut file);
                checked.push(file);
            }
            Err(message) => {
                print::error(&message);
                unreadable = true;
            }
        }
    }
    if options.strict {
        let findings = checked.iter_mut().flat_map(|file| &mut file.parsed.findings);
        for finding in findings.filter(|finding| finding.level == Level::Warning) {
            finding.level = Level::Error;
        }
    }
    let explained = options.explain.then(Timestamp::now);
    if let Err(error) = show(&checked, explained, out) {
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

/// Scripts in files of their own are a matter of the run: here the file may lie alone, and there may
/// be no network.
fn check_scripts(path: &Path, checked: &mut Checked) {
    let Some(file) = &checked.parsed.file else { return };
    let folder = path.parent().unwrap_or(Path::new("."));
    let scripts = file.input_files().chain(file.webhook_input_files());
    let findings = scripts.filter_map(|(name, input)| {
        let problem = if input.path.contains("://") {
            "is not fetched here, so nothing is known of it; a run needs it".to_owned()
        } else {
            let error = std::fs::read_to_string(folder.join(&input.path)).err()?;
            format!("cannot be read: {error}; a run needs it")
        };
        let message = format!("the script {:?} of {name:?} {problem}", input.path);
        let finding = Finding::new(Code::InputFile, input.location, message);
        Some(finding.at_level(Level::Warning))
    });
    let findings: Vec<_> = findings.collect();
    checked.parsed.findings.extend(findings);
    checked.parsed.findings.sort_by_key(|finding| (finding.line, finding.column, finding.code));
}

fn show(checked: &[Checked], explained: Option<Timestamp>, out: Out) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match out {
        Out::Text => {
            let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let style = if colours { Style::Colours } else { Style::Plain };
            for file in checked {
                let findings = &file.parsed.findings;
                write!(stdout, "{}", render(&file.name, &file.text, findings, style))?;
                if let (Some(now), Some(parsed)) = (explained, &file.parsed.file) {
                    explain(&file.name, parsed, now, &mut stdout)?;
                }
                print::totals(file, &mut stdout)?;
            }
        }
        Out::Json => {
            let findings: Value = checked
                .iter()
                .flat_map(|file| {
                    let findings = file.parsed.findings.iter();
                    findings.map(|finding| print::finding_json(&file.name, finding))
                })
                .collect();
            let shown = match explained {
                None => findings,
                Some(now) => {
                    let files = checked.iter();
                    let files =
                        files.filter_map(|file| Some((&file.name, file.parsed.file.as_ref()?)));
                    let schedules: Value =
                        files.flat_map(|(name, file)| explain_json(name, file, now)).collect();
                    json!({"findings": findings, "schedules": schedules})
                }
            };
            writeln!(stdout, "{shown}")?;
        }
    }
    stdout.flush()
}

/// The schedules of a file, with the names of their triggers.
fn schedules(file: &WorkflowFile) -> impl Iterator<Item = (&str, Schedule)> {
    file.triggers.iter().filter_map(|trigger| match &trigger.source {
        TriggerSource::Schedule(line) => Some((trigger.name.as_str(), Schedule::parse(line).ok()?)),
        _ => None,
    })
}

fn explain(
    name: &str,
    file: &WorkflowFile,
    now: Timestamp,
    stdout: &mut dyn Write,
) -> io::Result<()> {
    for (trigger, schedule) in schedules(file) {
        let zone = schedule.zone();
        writeln!(stdout, "{name}: trigger {trigger:?} fires at {:?}, {zone}", schedule.line())?;
        let mut never = true;
        for time in schedule.times_after(now).take(SHOWN_TIMES) {
            never = false;
            let clock = time.to_zoned(schedule.time_zone().clone());
            writeln!(stdout, "  {}", clock.strftime("%a %Y-%m-%d %H:%M:%S %Z"))?;
        }
        if never {
            writeln!(stdout, "  never")?;
        }
    }
    Ok(())
}

fn explain_json(name: &str, file: &WorkflowFile, now: Timestamp) -> Vec<Value> {
    let explained = schedules(file).map(|(trigger, schedule)| {
        let next = schedule.times_after(now).take(SHOWN_TIMES);
        json!({
            "file": name,
            "trigger": trigger,
            "schedule": schedule.line(),
            "timeZone": schedule.zone(),
            "next": next.map(|time| time.to_string()).collect::<Vec<_>>(),
        })
    });
    explained.collect()
}
