//! What to do about a step that did not go well.

use crate::summary::ASKING;

/// The exit codes of a shell for a program that is not there, or may not be run.
const NOT_FOUND: &str = "exit code 127";

/// A sentence for the step, `None` where all is well. `place` is where the step is written.
pub(crate) fn advice(
    step: &str,
    failed: bool,
    reason: &str,
    message: &str,
    place: &str,
) -> Option<String> {
    let advice = match reason {
        "Failed" if message == NOT_FOUND => format!(
            "a command of step {step:?} is not on this machine, where images are only labels: \
             install it, or change the step ({place})"
        ),
        "Failed" if message.starts_with("ended by signal") => format!(
            "find out who ended step {step:?} ({place}): signal 9 often comes from a machine that is \
             out of memory"
        ),
        "Failed" => format!(
            "see what {step:?} wrote above, in lines that begin with \"{step} |\", and change the \
             step ({place}); the exit code of a script is that of its last line"
        ),
        "TimedOut" => format!(
            "give step {step:?} ({place}) more time with --step-timeout or --timeout, or see what \
             it waits for"
        ),
        "CouldNotStart" => format!(
            "see that the program of step {step:?} ({place}) is on this machine and may be run; \
             --image IMAGE=PROGRAM puts one in the place of an image"
        ),
        "EvaluationError" | "OutputMissing" => {
            format!("change the condition of step {step:?}, or what it refers to ({place})")
        }
        "Expired" => format!(
            "answer {step:?} with --approve {step} or --reject {step}, or run on a terminal, where \
             you are asked"
        ),
        "Cancelled" => return None,
        _ if failed => format!("see what {step:?} ({place}) wrote above"),
        _ => return None,
    };
    Some(advice)
}

/// The same for the steps of a run in a cluster.
pub(crate) fn cluster_advice(run: &str) -> impl Fn(&str, bool, &str, &str) -> Option<String> {
    move |step: &str, failed: bool, reason: &str, _: &str| match reason {
        "Failed" | "TimedOut" => Some(format!("see what {step:?} wrote: relay logs {run} {step}")),
        "EvaluationError" | "OutputMissing" => {
            Some(format!("change the condition of step {step:?}, or what it refers to"))
        }
        "Expired" => {
            Some(format!("answer {step:?} in time next time, or give it more: --approval-timeout"))
        }
        ASKING => Some(format!(
            "answer {step:?}: relay approve {run} {step}, or relay reject {run} {step}"
        )),
        "Cancelled" => None,
        _ if failed => Some(format!("see its pod: relay logs {run} {step}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_in_a_cluster() {
        let advise = cluster_advice("r-1");
        for (reason, failed, part) in [
            ("Failed", true, Some("relay logs r-1 build")),
            ("TimedOut", true, Some("relay logs r-1 build")),
            ("CouldNotStart", true, Some("see its pod")),
            ("OutputMissing", false, Some("condition")),
            ("Expired", false, Some("--approval-timeout")),
            (ASKING, false, Some("relay reject r-1 build")),
            ("Cancelled", true, None),
            ("Rejected", false, None),
            ("Succeeded", false, None),
        ] {
            match (advise("build", failed, reason, ""), part) {
                (Some(advice), Some(part)) => assert!(advice.contains(part), "{reason}: {advice}"),
                (advice, part) => assert_eq!(advice.as_deref(), part, "{reason}"),
            }
        }
    }

    #[test]
    fn each_cause_has_its_own() {
        for (reason, message, failed, part) in [
            ("Failed", "exit code 3", true, Some("\"build |\"")),
            ("Failed", "exit code 127", true, Some("is not on this machine")),
            ("Failed", "ended by signal 9 (SIGKILL)", true, Some("out of memory")),
            ("TimedOut", "the step exceeded its time", true, Some("--step-timeout")),
            ("CouldNotStart", "no such program", true, Some("--image")),
            ("EvaluationError", "a type error", false, Some("condition")),
            ("OutputMissing", "no output", false, Some("w.yaml:3")),
            ("Expired", "", false, Some("--approve build")),
            ("Lost", "", true, Some("w.yaml:3")),
            ("Cancelled", "", true, None),
            ("Rejected", "", false, None),
            ("ConditionFalse", "", false, None),
            ("Succeeded", "", false, None),
        ] {
            let advice = advice("build", failed, reason, message, "w.yaml:3");
            match part {
                Some(part) => assert!(advice.unwrap().contains(part), "{reason}"),
                None => assert_eq!(advice, None, "{reason}"),
            }
        }
    }
}
