//! The graph of steps: edges and where they come from, and cycles (`workflow-file.md` §4.5).

use std::collections::{HashMap, HashSet};
use std::fmt;

use relay_core::yaml::Location;

use super::Step;
use super::finding::{Code, Finding};
use super::reader::Findings;

/// How many edges of a cycle are shown.
const MAX_SHOWN: usize = 100;

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

/// Reports cycles, each at the first of its edges.
pub(super) fn check_cycles(steps: &[Step], findings: &mut Findings) {
    let mut by_name: HashMap<&str, &Step> = HashMap::new();
    for step in steps {
        by_name.entry(&step.name).or_insert(step);
    }
    let mut done: HashSet<&str> = HashSet::new();
    for start in steps {
        // A walk with its own stack: a chain of steps may be longer than threads have room for.
        let mut path: Vec<(&Step, usize)> = vec![(start, 0)];
        let mut places: HashMap<&str, usize> = HashMap::from([(start.name.as_str(), 0)]);
        while let Some((step, next)) = path.last_mut() {
            let name = step.name.as_str();
            let Some(edge) = step.dependencies.get(*next).filter(|_| !done.contains(name)) else {
                done.insert(name);
                places.remove(name);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(from) = places.get(edge.step.as_str()) {
                report(path.get(*from..).unwrap_or_default(), findings);
            } else if let Some(target) = by_name.get(edge.step.as_str()) {
                places.insert(&target.name, path.len());
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
    let left = edges.len().saturating_sub(MAX_SHOWN);
    let mut described: Vec<_> = edges
        .iter()
        .take(MAX_SHOWN)
        .map(|(step, edge)| {
            let line = edge.location.line;
            format!("{:?} waits for {:?} ({}, line {line})", step.name, edge.step, edge.origin)
        })
        .collect();
    if left > 0 {
        described.push(format!("and {left} more"));
    }
    let message = format!("steps wait for each other: {}", described.join(", "));
    let finding = Finding::new(Code::Cycle, first.location, message);
    let others = edges.iter().skip(1).take(MAX_SHOWN);
    findings.push(others.fold(finding, |finding, (step, edge)| {
        finding.with(edge.location, format!("{:?} waits for {:?}", step.name, edge.step))
    }));
}
