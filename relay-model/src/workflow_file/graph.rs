//! The graph of steps: edges and where they come from, and cycles (`workflow-file.md` §4.5).

use std::collections::{HashMap, HashSet};
use std::fmt;

use relay_core::yaml::Location;

use super::Step;
use super::finding::Code;
use super::reader::Findings;

/// An edge: a step that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The step that is waited for.
    pub step: String,
    /// Where the edge comes from.
    pub origin: Origin,
    /// Where that is written.
    pub location: Location,
}

/// Where an edge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// `dependsOn`: the step has to succeed.
    DependsOn,
    /// An output of the step is used: it has to succeed too.
    Output,
    /// The status of the step is looked at: it has to end.
    Status,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DependsOn => "dependsOn",
            Self::Output => "an output",
            Self::Status => "a status",
        })
    }
}

/// Reports each cycle once, at the first of its edges.
pub(super) fn check_cycles(steps: &[Step], findings: &mut Findings) {
    let by_name: HashMap<&str, &Step> =
        steps.iter().map(|step| (step.name.as_str(), step)).collect();
    let mut done = HashSet::new();
    for start in steps {
        // A walk with its own stack: a chain of steps may be longer than threads have room for.
        let mut path: Vec<(&Step, usize)> = vec![(start, 0)];
        while let Some((step, next)) = path.last_mut() {
            let Some(edge) = step.dependencies.get(*next).filter(|_| !done.contains(&step.name))
            else {
                done.insert(step.name.clone());
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(from) = path.iter().position(|(known, _)| known.name == edge.step) {
                let cycle = path.get(from..).unwrap_or_default();
                report(cycle, findings);
            } else if let Some(target) = by_name.get(edge.step.as_str()) {
                path.push((target, 0));
            }
        }
    }
}

fn report(cycle: &[(&Step, usize)], findings: &mut Findings) {
    let edges: Vec<(&Step, &Dependency)> = cycle
        .iter()
        .filter_map(|(step, next)| Some((*step, step.dependencies.get(next.checked_sub(1)?)?)))
        .collect();
    let Some((_, first)) = edges.first() else {
        return;
    };
    let described: Vec<_> = edges
        .iter()
        .map(|(step, edge)| {
            let line = edge.location.line;
            format!("{:?} waits for {:?} ({}, line {line})", step.name, edge.step, edge.origin)
        })
        .collect();
    let message = format!("steps wait for each other: {}", described.join(", "));
    findings.add(Code::Cycle, first.location, message);
}
