//! The programs of images, in the place of those that steps do not name; pure (`operator.md` §11).

use std::collections::BTreeMap;

use jiff::Timestamp;
use relay_core::{Message, MessageSource};
use relay_model::v1beta1::Step;
use relay_store::{key, record};

use super::snapshot::Snapshot;
use crate::image::Found;

/// What images run, as far as it was asked for.
pub(super) type Programs = BTreeMap<String, Found>;

/// Messages for the steps whose images do not tell what they run. Those steps fail for want of a
/// program; this says why.
pub(super) fn complaints(
    snapshot: &Snapshot,
    programs: &Programs,
    now: Timestamp,
) -> BTreeMap<String, String> {
    const ID: &str = "image";
    let steps = snapshot.steps.iter().zip(&snapshot.workflow.spec.steps);
    let faults = steps.filter_map(|(planned, step)| {
        let Err(problem) = named_program(step, programs)? else { return None };
        let message = Message::new(MessageSource::Log, now, &problem);
        let key = key::message(&planned.action, ID).ok()?;
        Some((key, record::write_message(ID, &message)))
    });
    faults.collect()
}

/// The program of a step's image and its arguments, or what is the matter with it; `None` where the
/// image was not asked for.
pub(super) fn named_program(
    step: &Step,
    programs: &Programs,
) -> Option<Result<Vec<String>, String>> {
    let container = &step.container;
    if container.command.is_some() || !container.input.is_empty() {
        return None;
    }
    let found = programs.get(&container.image)?;
    Some(match found {
        Ok(program) => program.invocation(&container.args).ok_or_else(|| {
            format!("image {:?} names no program: give the step a command", container.image)
        }),
        Err(error) => Err(error.to_string()),
    })
}
