//! Workflow files on disk.

use std::path::{Path, PathBuf};

use relay_model::workflow_file::{Code, Finding, Level, Parsed, StepAction, WorkflowFile};

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

/// Puts scripts that lie in files of their own into their steps. They are found from the workflow
/// file's folder.
pub(crate) fn load_inputs(path: &Path, file: &mut WorkflowFile) -> Vec<Finding> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let inputs: Vec<_> =
        file.input_files().map(|(step, input)| (step.to_owned(), input.clone())).collect();
    let mut findings = Vec::new();
    for (step, input) in inputs {
        let read = if input.path.contains("://") {
            Err("scripts are read from files, not from URLs; save it beside the workflow"
                .to_owned())
        } else {
            std::fs::read_to_string(folder.join(&input.path)).map_err(|error| error.to_string())
        };
        match read {
            Ok(text) => file.set_input(&step, text),
            Err(problem) => {
                let message = format!("cannot read {:?} of step {step:?}: {problem}", input.path);
                findings.push(Finding::new(Code::InputFile, input.location, message));
            }
        }
    }
    findings
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
