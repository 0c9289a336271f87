//! Drawings of the graph of steps: text for people, DOT and Mermaid for programs that draw.

mod condition;
mod dot;
mod mermaid;

use std::collections::{HashMap, HashSet};
use std::fmt;

use relay_core::Value;
use serde::Serialize;

use super::{Dependency, Origin, Step, StepAction, WorkflowFile};

/// Names longer than this do not push the other lines of the text to the right.
const WIDEST_NAME: usize = 32;

/// The steps of a workflow, each behind all that it waits for, with their edges.
///
/// Steps that wait for nothing come first, then those that wait for these alone, and so on; within
/// such a level the order is that of the file. Serialized, it is the form for programs.
///
/// ```
/// use relay_model::workflow_file::WorkflowFile;
///
/// let text = "\
/// steps:
/// - {name: test, image: alpine, input: [make test], dependsOn: build}
/// - {name: build, image: alpine, input: [make]}
/// ";
/// let file = WorkflowFile::parse(text, "demo").file.unwrap_or_default();
/// assert_eq!(
///     file.drawing().text().to_string(),
///     "build  script\n\
///      test   script\n  <- build (dependsOn, line 2)\n",
/// );
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Drawing<'f> {
    #[serde(skip)]
    title: &'f str,
    steps: Vec<Node<'f>>,
}

#[derive(Clone, Debug, Serialize)]
struct Node<'f> {
    name: &'f str,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<&'f Value>,
    dependencies: Vec<Edge<'f>>,
}

/// What a step does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Script,
    Command,
    Image,
    Approval,
}

#[derive(Clone, Debug, Serialize)]
struct Edge<'f> {
    step: &'f str,
    #[serde(serialize_with = "origin")]
    origin: Origin,
    line: usize,
    column: usize,
}

impl WorkflowFile {
    /// The steps, each behind all that it waits for.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Step> {
        by_level(&self.steps)
    }

    /// The graph of steps, to be shown.
    #[must_use]
    pub fn drawing(&self) -> Drawing<'_> {
        let steps = by_level(&self.steps).into_iter().map(Node::from).collect();
        Drawing { title: &self.name, steps }
    }
}

impl Drawing<'_> {
    /// For people: a line for each step, and below it one for each step that it waits for.
    #[must_use]
    pub fn text(&self) -> impl fmt::Display {
        let width = self.steps.iter().map(|step| step.name.chars().count()).max();
        let width = width.unwrap_or_default().min(WIDEST_NAME);
        fmt::from_fn(move |f| {
            if self.steps.is_empty() {
                return writeln!(f, "no steps");
            }
            for step in &self.steps {
                writeln!(f, "{:<width$}  {}", step.name, step.summary())?;
                for edge in &step.dependencies {
                    writeln!(f, "  <- {} ({})", edge.step, edge.place())?;
                }
            }
            Ok(())
        })
    }

    /// A graph for Graphviz. Edges that come from `dependsOn` are solid, those from outputs dashed,
    /// those from statuses dotted; approvals are diamonds. Tool tips hold the rest.
    #[must_use]
    pub fn dot(&self) -> impl fmt::Display {
        fmt::from_fn(|f| dot::write(self, f))
    }

    /// A flow chart for Mermaid, with lines and shapes as in [`dot`](Self::dot).
    #[must_use]
    pub fn mermaid(&self) -> impl fmt::Display {
        fmt::from_fn(|f| mermaid::write(self, f))
    }
}

impl Node<'_> {
    /// The kind, and the condition in short.
    fn summary(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "{}", self.kind)?;
            match self.when {
                Some(when) => write!(f, ", when {}", condition::short(when)),
                None => Ok(()),
            }
        })
    }
}

impl<'f> From<&'f Step> for Node<'f> {
    fn from(step: &'f Step) -> Self {
        Self {
            name: &step.name,
            kind: Kind::from(&step.action),
            when: step.when.as_ref(),
            dependencies: step.dependencies.iter().map(Edge::from).collect(),
        }
    }
}

impl From<&StepAction> for Kind {
    fn from(action: &StepAction) -> Self {
        match action {
            StepAction::Approval => Self::Approval,
            StepAction::Container(container) => {
                if !container.input.is_empty() || container.input_file.is_some() {
                    Self::Script
                } else if container.command.is_some() {
                    Self::Command
                } else {
                    Self::Image
                }
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Script => "script",
            Self::Command => "command",
            Self::Image => "image",
            Self::Approval => "approval",
        })
    }
}

impl Edge<'_> {
    fn place(&self) -> impl fmt::Display {
        fmt::from_fn(|f| write!(f, "{}, line {}", self.origin, self.line))
    }
}

impl<'f> From<&'f Dependency> for Edge<'f> {
    fn from(dependency: &'f Dependency) -> Self {
        let Dependency { step, origin, location } = dependency;
        Self { step, origin: *origin, line: location.line, column: location.column }
    }
}

/// The origin for programs: one word, not the phrase that people read.
fn origin<S: serde::Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match origin {
        Origin::DependsOn => "dependsOn",
        Origin::Output => "output",
        Origin::Status => "status",
    })
}

/// Each step behind all that it waits for: by level, then in the order of the file.
fn by_level(steps: &[Step]) -> Vec<&Step> {
    let names: HashSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let mut waits = Vec::with_capacity(steps.len());
    let mut behind: HashMap<&str, Vec<usize>> = HashMap::new();
    for (position, step) in steps.iter().enumerate() {
        let edges = step.dependencies.iter().map(|edge| edge.step.as_str());
        let edges: Vec<_> = edges.filter(|name| names.contains(name)).collect();
        waits.push(edges.len());
        for name in edges {
            behind.entry(name).or_default().push(position);
        }
    }
    let mut ordered = Vec::with_capacity(steps.len());
    let mut level: Vec<usize> =
        waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(p, _)| p).collect();
    while !level.is_empty() {
        let mut next = Vec::new();
        for step in level.iter().filter_map(|position| steps.get(*position)) {
            ordered.push(step);
            for position in behind.get(step.name.as_str()).into_iter().flatten() {
                if let Some(left) = waits.get_mut(*position) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        next.push(*position);
                    }
                }
            }
        }
        next.sort_unstable();
        level = next;
    }
    // A file that was read has no cycles; one that a program put together is drawn whole as well.
    ordered.extend(steps.iter().zip(&waits).filter(|(_, left)| **left > 0).map(|(step, _)| step));
    ordered
}
