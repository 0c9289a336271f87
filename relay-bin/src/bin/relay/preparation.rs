//! Everything that a run needs, checked before anything is started.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use relay_core::expr::Reference;
use relay_core::{MemorySecrets, SecretStore, Value};
use relay_local::{Answer, Limits, Submission};
use relay_model::workflow_file::{Code, Finding, StepAction, WorkflowFile};

use crate::files;
use crate::outline::Outline;
use crate::run::Options;

/// What is to be run, and with what.
pub(crate) struct Prepared {
    pub(crate) submission: Submission,
    pub(crate) secrets: Arc<dyn SecretStore>,
    /// What is shown of it.
    pub(crate) outline: Outline,
    /// The approvals that nobody has to be asked for.
    pub(crate) answered: BTreeSet<String>,
}

/// Why nothing is started: the command line is wrong, or the file is.
pub(crate) enum Unprepared {
    Message(String),
    Findings(String, Vec<Finding>),
    /// Who was to type a secret asked for the end instead.
    Interrupted,
}

/// Reads everything; the warnings of the file come along.
/// `yes` approves whatever is not rejected.
pub(crate) async fn prepare(
    options: &Options,
    yes: bool,
) -> Result<(Prepared, Vec<Finding>), Unprepared> {
    if let Some(both) = options.approve.iter().find(|step| options.reject.contains(step)) {
        let message = format!("{both:?} is to be approved and rejected at the same time");
        return Err(Unprepared::Message(message));
    }
    let secrets = secrets(options)?;
    let checked = files::read(options.file()).map_err(Unprepared::Message)?;
    let mut findings = checked.parsed.findings;
    let mut ready = None;
    if let Some(mut file) = checked.parsed.file {
        findings.extend(files::load_inputs(options.file(), &mut file).await);
        findings.extend(files::check_programs(&file, &options.images));
        findings.extend(missing(&file, &secrets).await.map_err(Unprepared::Message)?);
        findings.extend(unknown_answers(&file, options));
        match file.bind(&options.parameters, &options.typed_parameters) {
            Ok(values) => ready = Some(prepared(&file, values, secrets, options, yes)),
            Err(unbound) => findings.extend(unbound),
        }
    }
    findings.sort_by_key(|finding: &Finding| (finding.line, finding.column));
    match ready {
        Some(ready) if !files::has_errors(&findings) => Ok((ready, findings)),
        _ => Err(Unprepared::Findings(checked.name, findings)),
    }
}

fn prepared(
    file: &WorkflowFile,
    values: BTreeMap<String, Value>,
    secrets: MemorySecrets,
    options: &Options,
    yes: bool,
) -> Prepared {
    let asks = crate::run::asks();
    let limits = Limits {
        run: options.timeout,
        step: options.step_timeout,
        // Where nobody can be asked a question is over at once.
        approval: options.approval_timeout.or(asks.then(|| jiff::SignedDuration::from_hours(1))),
    };
    let mut submission = Submission::new(file, values).with_limits(limits);
    let approvals = file.steps.iter().filter(|step| step.action == StepAction::Approval);
    let mut answered = BTreeSet::new();
    for step in approvals.map(|step| &step.name) {
        let answer = if options.reject.contains(step) {
            Answer::Rejected
        } else if yes || options.approve.contains(step) {
            Answer::Approved
        } else {
            continue;
        };
        submission = submission.with_answer(step, answer);
        answered.insert(step.clone());
    }
    let outline = Outline::new(file, options.file().display().to_string());
    Prepared { submission, secrets: Arc::new(secrets), outline, answered }
}

/// The values file, and secrets that are typed or read a line each from standard input.
fn secrets(options: &Options) -> Result<MemorySecrets, Unprepared> {
    let mut secrets = MemorySecrets::default();
    if let Some(path) = &options.values {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Unprepared::Message(format!("cannot read {name}: {error}")))?;
        secrets = MemorySecrets::from_yaml(&text).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(|p| format!("{name}:{p}")).collect();
            Unprepared::Message(lines.join("\n       "))
        })?;
    }
    for secret in &options.secrets {
        let text = read_secret(secret).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Unprepared::Interrupted,
            _ => Unprepared::Message(format!("cannot read the secret {secret:?}: {error}")),
        })?;
        secrets = secrets.with_secret(secret, text.into());
    }
    Ok(secrets)
}

fn read_secret(name: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("Secret {name}: "));
    }
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::Error::other("standard input has ended"));
    }
    let text = line.strip_suffix('\n').unwrap_or(&line);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Secrets and connections that steps use and that are not there.
async fn missing(file: &WorkflowFile, secrets: &dyn SecretStore) -> Result<Vec<Finding>, String> {
    let mut users: BTreeMap<Reference, BTreeSet<usize>> = BTreeMap::new();
    for (index, step) in file.steps.iter().enumerate() {
        for reference in WorkflowFile::references(step) {
            users.entry(reference).or_default().insert(index);
        }
    }
    let mut findings = Vec::new();
    for (reference, steps) in users {
        let (code, there, hint) = match &reference {
            Reference::Secret { name } => {
                let there = secrets.secret(name).await.map(|found| found.is_some());
                (Code::MissingSecret, there, format!("add `--secret {name}`, or put it"))
            }
            Reference::Connection { kind, name } => {
                let there = secrets.connection(kind, name).await.map(|found| found.is_some());
                (Code::MissingConnection, there, "put it".to_owned())
            }
            _ => continue,
        };
        if there.map_err(|error| error.to_string())? {
            continue;
        }
        let users: Vec<_> = steps.iter().filter_map(|index| file.steps.get(*index)).collect();
        let names: Vec<_> = users.iter().map(|step| format!("{:?}", step.name)).collect();
        let location = users.first().map(|step| step.location).unwrap_or_default();
        let message = format!(
            "there is no {reference}, which {} {} {}; {hint} into a file for `--values`",
            if names.len() == 1 { "step" } else { "steps" },
            names.join(", "),
            if names.len() == 1 { "uses" } else { "use" },
        );
        findings.push(Finding::new(code, location, message));
    }
    Ok(findings)
}

/// Answers for steps that ask nothing.
fn unknown_answers(file: &WorkflowFile, options: &Options) -> Vec<Finding> {
    let answered = options.approve.iter().chain(&options.reject);
    let unknown = answered
        .filter(|name| file.step(name).is_none_or(|step| step.action != StepAction::Approval));
    unknown
        .map(|name| {
            let approvals = file.steps.iter().filter(|step| step.action == StepAction::Approval);
            let names: Vec<_> = approvals.map(|step| step.name.as_str()).collect();
            let known = match names.as_slice() {
                [] => "this workflow has no approvals".to_owned(),
                names => format!("its approvals are {}", names.join(", ")),
            };
            let message = format!("{name:?} is no approval: {known}");
            Finding::new(Code::UnknownApproval, Default::default(), message)
        })
        .collect()
}
