//! Leaving out of a status what an API server does not take; pure.
//!
//! What is shown of outputs and messages has a budget; what is not thought of there must not keep a
//! run from ending either.

use relay_model::v1beta1::{MessageSourceStatus, MessageStatus, RunStatus, Severity, StepStatus};

/// How much is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing.
    #[default]
    Nothing,
    /// What steps said: values of outputs, messages, decorators.
    Values,
    /// The steps.
    Steps,
}

impl Cut {
    /// The next one, if more can be left out.
    pub(super) fn more(self) -> Option<Self> {
        match self {
            Self::Nothing => Some(Self::Values),
            Self::Values => Some(Self::Steps),
            Self::Steps => None,
        }
    }

    /// Leaves it out, with a note.
    pub(super) fn apply(self, mut status: RunStatus) -> RunStatus {
        match self {
            Self::Nothing => {}
            Self::Values => status.steps.iter_mut().for_each(without_values),
            Self::Steps => {
                status.steps = Vec::new();
                let note = "the steps are too much to show";
                let succeeded = status.conditions.iter_mut().find(|c| c.kind == "Succeeded");
                if let Some(condition) = succeeded {
                    condition.message = Some(match condition.message.take() {
                        Some(message) if message.contains(note) => message,
                        // It names steps, of which there may be very many.
                        Some(message) => {
                            let short: String = message.chars().take(1_000).collect();
                            format!("{short} ({note})")
                        }
                        None => note.to_owned(),
                    });
                }
            }
        }
        status
    }
}

fn without_values(step: &mut StepStatus) {
    for output in step.outputs.iter_mut().filter(|output| !output.value.is_null()) {
        output.value = relay_core::Value::Null;
        output.omitted = Some("the run has too much to show".to_owned());
    }
    step.decorators = Vec::new();
    let left_out = step.messages.len();
    match step.messages.pop() {
        Some(last) if !last.details.starts_with(LEFT_OUT) => {
            step.messages = vec![note(left_out, last)];
        }
        // Done before.
        last => step.messages.extend(last),
    }
}

const LEFT_OUT: &str = "messages that are too much to show";

/// A message in the place of others, of which this is the last.
pub(super) fn note(left_out: usize, last: MessageStatus) -> MessageStatus {
    MessageStatus {
        source: MessageSourceStatus { log: Some(Default::default()), ..Default::default() },
        severity: Severity::Error,
        observation_time: last.observation_time,
        short: None,
        details: format!("{LEFT_OUT}: {left_out}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_model::v1beta1::{Condition, OutputStatus, StepDecorator};

    fn full() -> RunStatus {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let message = |details: &str| MessageStatus {
            source: MessageSourceStatus::default(),
            severity: Severity::Error,
            observation_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now),
            short: None,
            details: details.to_owned(),
        };
        let output = |name: &str, sensitive, value| OutputStatus {
            name: name.to_owned(),
            sensitive,
            value,
            omitted: None,
        };
        let step = StepStatus {
            name: "a".to_owned(),
            conditions: vec![Condition::new("Completed", Some(true), now)],
            outputs: vec![
                output("shown", false, "x".into()),
                output("hidden", true, relay_core::Value::Null),
            ],
            messages: vec![message("one"), message("two")],
            decorators: vec![StepDecorator { name: "link".to_owned(), link: None }],
            ..StepStatus::default()
        };
        let failed =
            Condition::new("Succeeded", Some(false), now).because("StepFailed", "failed: a");
        RunStatus { conditions: vec![failed], steps: vec![step], ..RunStatus::default() }
    }

    #[test]
    fn what_is_left_out_is_noted_once() {
        let values = Cut::Values.apply(full());
        let step = &values.steps[0];
        assert_eq!(step.conditions, full().steps[0].conditions);
        let omitted: Vec<_> = step.outputs.iter().map(|output| output.omitted.is_some()).collect();
        assert_eq!(omitted, [true, false]);
        assert!(step.outputs.iter().all(|output| output.value.is_null()));
        assert!(step.decorators.is_empty());
        assert_eq!(step.messages.len(), 1);
        assert!(step.messages[0].details.ends_with(": 2"), "{:?}", step.messages);

        let bare = Cut::Steps.apply(values.clone());
        assert!(bare.steps.is_empty());
        let message = bare.condition("Succeeded").unwrap().message.clone().unwrap();
        assert_eq!(message, "failed: a (the steps are too much to show)");
        for (cut, status) in [(Cut::Nothing, full()), (Cut::Values, values), (Cut::Steps, bare)] {
            assert_eq!(cut.apply(status.clone()), status, "{cut:?}");
        }
    }
}
