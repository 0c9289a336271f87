//! The graph of a workflow: nothing may wait for itself.

use super::snapshot::{InvalidWorkflow, PlannedStep};

/// Finds a cycle, if there is one.
pub(super) fn check_cycles(steps: &[PlannedStep]) -> Result<(), InvalidWorkflow> {
    let mut done = vec![false; steps.len()];
    for start in 0..steps.len() {
        // A walk with its own stack: a chain may be longer than threads have room for.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((step, next)) = path.last_mut() {
            let finished = done.get(*step).copied().unwrap_or(true);
            let edge = steps.get(*step).and_then(|planned| planned.after.get(*next)).copied();
            let Some(target) = edge.filter(|_| !finished) else {
                if let Some(done) = done.get_mut(*step) {
                    *done = true;
                }
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(from) = path.iter().position(|(step, _)| *step == target) {
                let cycle = path.get(from..).unwrap_or_default().iter().map(|(step, _)| *step);
                let names = cycle.chain([target]).filter_map(|step| steps.get(step));
                return Err(InvalidWorkflow::Cycle(
                    names.map(|step| step.name.to_string()).collect(),
                ));
            }
            path.push((target, 0));
        }
    }
    Ok(())
}
