//! Workflow files on disk.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use relay_model::workflow_file::{
    Code, Finding, InputFile, Level, Parsed, StepAction, WorkflowFile,
};

use crate::fetch::{Fetcher, Limits};

/// How many scripts are fetched at the same time.
const PARALLEL: usize = 8;

/// A file that was read, with what is wrong with it.
pub(crate) struct Checked {
    /// The file's name as it was given.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) text: String,
    pub(crate) parsed: Parsed,
}

impl Checked {
    pub(crate) fn count(&self, level: Level) -> usize {
        self.parsed.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// Whether nothing may be started because of these.
pub(crate) fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}

/// Reads and checks a workflow file.
pub(crate) fn read(path: &Path) -> Result<Checked, String> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("cannot read {name}: it is not UTF-8: {error}"))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let parsed = WorkflowFile::parse(&text, stem.as_deref().unwrap_or("workflow"));
    Ok(Checked { name, text, parsed })
}

/// Puts scripts that lie elsewhere into their steps: files are found from the workflow file's folder,
/// addresses are fetched.
pub(crate) async fn load_inputs(path: &Path, file: &mut WorkflowFile) -> Vec<Finding> {
    let inputs = owned(file.input_files());
    let mut findings = Vec::new();
    for (step, input, read) in read_all(path, inputs).await {
        match read {
            Ok(text) => file.set_input(&step, text),
            Err(problem) => findings.push(unreadable(&input, &format!("step {step:?}"), &problem)),
        }
    }
    findings
}

/// The same for the scripts of webhooks.
pub(crate) async fn load_webhook_inputs(path: &Path, file: &mut WorkflowFile) -> Vec<Finding> {
    let inputs = owned(file.webhook_input_files());
    let mut findings = Vec::new();
    for (trigger, input, read) in read_all(path, inputs).await {
        match read {
            Ok(text) => file.set_webhook_input(&trigger, text),
            Err(problem) => {
                findings.push(unreadable(&input, &format!("trigger {trigger:?}"), &problem));
            }
        }
    }
    findings
}

fn owned<'f>(inputs: impl Iterator<Item = (&'f str, &'f InputFile)>) -> Vec<(String, InputFile)> {
    inputs.map(|(owner, input)| (owner.to_owned(), input.clone())).collect()
}

/// Each with what is there, or why that is not known.
async fn read_all(
    path: &Path,
    inputs: Vec<(String, InputFile)>,
) -> Vec<(String, InputFile, Result<String, String>)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let addresses = inputs.iter().map(|(_, input)| &input.path).filter(|path| is_address(path));
    let fetched = fetch_all(addresses.cloned().collect()).await;
    let read = |path: &str| match fetched.get(path) {
        Some(fetched) => fetched.clone(),
        None => std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string()),
    };
    inputs.into_iter().map(|(owner, input)| (owner, input.clone(), read(&input.path))).collect()
}

fn unreadable(input: &InputFile, owner: &str, problem: &str) -> Finding {
    let message = format!("cannot read {:?} of {owner}: {problem}", input.path);
    Finding::new(Code::InputFile, input.location, message)
}

fn is_address(path: &str) -> bool {
    path.contains("://")
}

/// What is at each of these addresses, or why it is not known.
async fn fetch_all(addresses: BTreeSet<String>) -> HashMap<String, Result<String, String>> {
    if addresses.is_empty() {
        // Nobody waits for certificates to be read then.
        return HashMap::new();
    }
    let fetcher = Fetcher::new(Limits::default()).map_err(|error| error.to_string());
    let fetches = addresses.into_iter().map(async |address| {
        let text = match &fetcher {
            Ok(fetcher) => fetcher.fetch(&address).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        (address, text)
    });
    futures::stream::iter(fetches).buffer_unordered(PARALLEL).collect().await
}

/// The steps that name only an image, and no program stands in for it.
pub(crate) fn check_programs(file: &WorkflowFile, images: &[(String, PathBuf)]) -> Vec<Finding> {
    let known = |image: &str| images.iter().any(|(known, _)| known == image);
    let bare = file.steps.iter().filter_map(|step| match &step.action {
        StepAction::Container(container)
            if container.input.is_empty()
                && container.input_file.is_none()
                && container.command.is_none()
                && !known(&container.image) =>
        {
            Some((step, &container.image))
        }
        _ => None,
    });
    bare.map(|(step, image)| {
        let message = format!(
            "step {:?} runs what is in the image {image:?}, and there are no images on this \
             machine; add `--image {image}=PROGRAM`, or give the step an \"input\" or a \"command\"",
            step.name
        );
        Finding::new(Code::NoProgram, step.location, message)
    })
    .collect()
}
