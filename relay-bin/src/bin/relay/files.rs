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

/// The steps that name only an image while no program stands in for it, or one that is not there; and
/// programs that stand in for nothing.
pub(crate) fn check_programs(file: &WorkflowFile, images: &[(String, PathBuf)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for step in &file.steps {
        let StepAction::Container(container) = &step.action else { continue };
        if !container.runs_image() {
            continue;
        }
        let image = &container.image;
        used.insert(image.as_str());
        // The last one wins.
        let message = match images.iter().rfind(|(known, _)| known == image) {
            None => format!(
                "step {:?} runs what is in the image {image:?}, and there are no images on this \
                 machine; add `--image {image}=PROGRAM`, or give the step an \"input\" or a \
                 \"command\"",
                step.name
            ),
            // A step may have its own PATH.
            Some((_, name)) if !is_path(name) && container.env.contains_key("PATH") => continue,
            Some((_, program)) => match relay_local::executor::check_program(program) {
                Ok(()) => continue,
                Err(error) => format!(
                    "step {:?} runs what is in the image {image:?}, and what `--image` puts in its \
                     place cannot be run: {error}",
                    step.name
                ),
            },
        };
        findings.push(Finding::new(Code::NoProgram, step.location, message));
    }
    for (image, _) in images.iter().filter(|(image, _)| !used.contains(image.as_str())) {
        let used = match used.len() {
            0 => "every step has an \"input\" or a \"command\"".to_owned(),
            _ => format!("they run {}", quoted(&used)),
        };
        let message = format!("`--image {image}=…` has no effect: no step runs that image; {used}");
        findings.push(Finding::new(Code::UnusedImage, Default::default(), message));
    }
    findings
}

fn is_path(program: &Path) -> bool {
    program.components().count() > 1 || program.is_absolute()
}

fn quoted(names: &BTreeSet<&str>) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}
