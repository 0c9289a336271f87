//! What a `TaskRun` asks to be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use relay_model::tekton::{TaskSpec, TaskStep};
use relay_tools::entrypoint::{Invocation, InvocationError, TOOLS_DIR};

use super::mount::{Mount, MountError, mounts};

/// The container that does the work. The one before it only copies tools.
pub(super) const STEP: &str = "step";

/// What a `TaskRun` asks to be run.
#[derive(Debug, PartialEq)]
pub(super) struct Job<'a> {
    /// With paths as they are in the container.
    pub(super) invocation: Invocation,
    pub(super) variables: Vec<(&'a str, &'a str)>,
    pub(super) mounts: Vec<Mount<'a>>,
}

/// A task that cannot be run as a process.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JobError {
    #[error("the TaskRun has no container named {STEP:?}")]
    NoStep,
    #[error(
        "image {0:?} cannot be started as a process: the step names no program, and none is given \
         for its image"
    )]
    NoProgram(String),
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error("variable {0:?} does not have a plain value")]
    Variable(String),
    #[error(transparent)]
    Mount(#[from] MountError),
}

impl<'a> Job<'a> {
    /// Reads a task. `images` are the programs that stand for images.
    pub(super) fn read(
        task: &'a TaskSpec,
        images: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, JobError> {
        let container =
            task.steps.iter().find(|container| container.name == STEP).ok_or(JobError::NoStep)?;
        let variables = container.env.iter().map(|variable| match &variable.value_from {
            None => Ok((variable.name.as_str(), variable.value.as_deref().unwrap_or_default())),
            Some(_) => Err(JobError::Variable(variable.name.clone())),
        });
        let variables: Vec<_> = variables.collect::<Result<_, _>>()?;
        Ok(Self {
            invocation: invocation(container, &variables, images)?,
            variables,
            mounts: mounts(container, task)?,
        })
    }
}

/// Reads a word as the kubelet does: `$$` is one sign, and `$(NAME)` stands for a variable of the
/// container, if it has that.
fn read(word: &str, variables: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            after
        } else if let Some((value, after)) = variable(after, variables) {
            text.push_str(value);
            after
        } else {
            text.push('$');
            after
        };
    }
    text.push_str(rest);
    text
}

/// The value of the variable that is named here in parentheses, and what comes behind.
fn variable<'w, 'v>(word: &'w str, variables: &[(&str, &'v str)]) -> Option<(&'v str, &'w str)> {
    let (name, rest) = word.strip_prefix('(')?.split_once(')')?;
    let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
    Some((value, rest))
}

fn invocation(
    container: &TaskStep,
    variables: &[(&str, &str)],
    images: &BTreeMap<String, PathBuf>,
) -> Result<Invocation, JobError> {
    let read = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| read(word, variables)).collect()
    };
    let (command, args) = (read(&container.command), read(&container.args));
    match command.split_first() {
        Some((first, rest)) if !Path::new(first).starts_with(TOOLS_DIR) => {
            return Ok(Invocation::new(first, rest.iter().chain(&args)));
        }
        _ => {}
    }
    if args.first().is_some_and(|first| names_program(first)) {
        return Invocation::parse(args)?.ok_or_else(|| no_program(container));
    }
    let args = match args.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => &args,
    };
    let image = container.image.as_deref().unwrap_or_default();
    match images.get(image) {
        Some(program) => Ok(Invocation::new(program, args)),
        None => Err(no_program(container)),
    }
}

fn names_program(flag: &str) -> bool {
    let name = flag.split_once('=').map_or(flag, |(name, _)| name);
    matches!(name, "-entrypoint" | "--entrypoint")
}

fn no_program(container: &TaskStep) -> JobError {
    JobError::NoProgram(container.image.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ENTRYPOINT: &str = "/var/lib/puppet/relay/entrypoint";

    fn task(mut container: serde_json::Value) -> TaskSpec {
        container["name"] = json!("step");
        serde_json::from_value(json!({
            "steps": [{"name": "tools", "command": ["/ko-app/tools"]}, container],
        }))
        .unwrap()
    }

    fn read(container: serde_json::Value) -> Result<Invocation, String> {
        let images = BTreeMap::from([("known".to_owned(), PathBuf::from("/bin/known"))]);
        let task = task(container);
        Job::read(&task, &images).map(|job| job.invocation).map_err(|error| error.to_string())
    }

    #[test]
    fn programs() {
        let entry =
            |args: &[&str]| json!({"command": [ENTRYPOINT], "args": args, "image": "known"});
        for (container, expected) in [
            (entry(&["-entrypoint", "make", "--", "-k"]), Invocation::new("make", ["-k"])),
            (
                entry(&["-entrypoint", "sh", "--", "-c", "$$(kill $$$$) $x"]),
                Invocation::new("sh", ["-c", "$(kill $$) $x"]),
            ),
            (
                json!({
                    "command": [ENTRYPOINT],
                    "args": ["-entrypoint", "sh", "--", "$(D)(D) $$(D) $(E) $(D $", "$$$(D)$$"],
                    "env": [{"name": "D", "value": "$"}],
                }),
                Invocation::new("sh", ["$(D) $(D) $(E) $(D $", "$$$"]),
            ),
            (entry(&["--", "-k"]), Invocation::new("/bin/known", ["-k"])),
            (entry(&[]), Invocation::new("/bin/known", [""; 0])),
            (json!({"command": ["sh", "-c"], "args": ["x"]}), Invocation::new("sh", ["-c", "x"])),
        ] {
            assert_eq!(read(container), Ok(expected));
        }
        let script = read(entry(&["-entrypoint", "/var/run/puppet/relay/config/input-script"]));
        assert!(script.unwrap().is_input_script);
    }

    #[test]
    fn what_is_no_process() {
        for (container, part) in [
            (json!({"image": "other", "command": [ENTRYPOINT]}), "image \"other\""),
            (json!({"command": [ENTRYPOINT], "args": ["-entrypoint"]}), "no program"),
            (json!({"command": ["sh"], "env": [{"name": "A", "valueFrom": {}}]}), "\"A\""),
        ] {
            let error = read(container).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let empty = TaskSpec::default();
        assert_eq!(Job::read(&empty, &BTreeMap::new()), Err(JobError::NoStep));
    }
}
