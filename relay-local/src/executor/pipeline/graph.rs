//! The tasks of a pipeline, and what each of them waits for.

use std::collections::HashMap;
use std::time::Duration;

use relay_model::tekton::{PipelineSpec, PipelineTask, WhenExpression};

use crate::executor::duration::{self, DurationError};

/// A pipeline whose tasks wait for each other without going in circles.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    by_name: HashMap<String, usize>,
}

/// A task. Others are named by their position in the pipeline.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// The tasks that have to be over before this one is looked at, each once.
    pub(super) parents: Vec<usize>,
    /// The tasks that have this one among their parents.
    pub(super) children: Vec<usize>,
    pub(super) when: Vec<When>,
    /// Its failure does not stop the pipeline.
    pub(super) ignores_failure: bool,
    pub(super) timeout: Option<Duration>,
}

/// A comparison that has to hold for the task to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) input: Template,
    pub(super) negated: bool,
    pub(super) values: Vec<Template>,
}

/// Text with results in it.
pub(super) type Template = Vec<Piece>;

/// A part of a [`Template`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Result { task: usize, name: String },
}

/// A pipeline that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GraphError {
    #[error("the PipelineRun has no pipelineSpec")]
    NoPipeline,
    #[error("two tasks are named {0:?}")]
    Duplicate(String),
    #[error("task {0:?} has no taskSpec")]
    NoTask(String),
    #[error("task {task:?} waits for {parent:?}, which is not in the pipeline")]
    Unknown { task: String, parent: String },
    #[error("tasks wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    #[error("task {task:?}: operator {operator:?} is neither \"in\" nor \"notin\"")]
    Operator { task: String, operator: String },
    #[error("task {task:?}: {source}")]
    Timeout { task: String, source: DurationError },
}

impl GraphError {
    /// The reason that Tekton gives.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoPipeline => "CouldntGetPipeline",
            Self::Duplicate(_) | Self::Unknown { .. } | Self::Cycle(_) => "PipelineInvalidGraph",
            Self::NoTask(_) | Self::Operator { .. } | Self::Timeout { .. } => {
                "PipelineValidationFailed"
            }
        }
    }
}

impl Graph {
    pub(super) fn new(pipeline: &PipelineSpec) -> Result<Self, GraphError> {
        let mut by_name = HashMap::with_capacity(pipeline.tasks.len());
        for (index, task) in pipeline.tasks.iter().enumerate() {
            if by_name.insert(task.name.clone(), index).is_some() {
                return Err(GraphError::Duplicate(task.name.clone()));
            }
        }
        let nodes = pipeline
            .tasks
            .iter()
            .map(|task| node(task, &by_name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut graph = Self { nodes, by_name };
        graph.link();
        graph.check_order()?;
        Ok(graph)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    pub(super) fn position(&self, task: &str) -> Option<usize> {
        self.by_name.get(task).copied()
    }

    fn link(&mut self) {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for parent in &node.parents {
                if let Some(children) = children.get_mut(*parent) {
                    children.push(index);
                }
            }
        }
        for (node, children) in self.nodes.iter_mut().zip(children) {
            node.children = children;
        }
    }

    /// Takes away tasks without parents until none is left; what cannot be taken is a circle,
    /// or behind one.
    fn check_order(&self) -> Result<(), GraphError> {
        let mut waiting: Vec<usize> = self.nodes.iter().map(|node| node.parents.len()).collect();
        let mut free: Vec<usize> = waiting
            .iter()
            .enumerate()
            .filter_map(|(index, parents)| (*parents == 0).then_some(index))
            .collect();
        while let Some(node) = free.pop().and_then(|index| self.node(index)) {
            for child in &node.children {
                if let Some(parents) = waiting.get_mut(*child) {
                    *parents -= 1;
                    if *parents == 0 {
                        free.push(*child);
                    }
                }
            }
        }
        let stuck: Vec<String> = self
            .nodes
            .iter()
            .zip(&waiting)
            .filter(|(_, parents)| **parents > 0)
            .map(|(node, _)| node.name.clone())
            .collect();
        if stuck.is_empty() { Ok(()) } else { Err(GraphError::Cycle(stuck)) }
    }
}

fn node(task: &PipelineTask, by_name: &HashMap<String, usize>) -> Result<Node, GraphError> {
    if task.task_spec.is_none() {
        return Err(GraphError::NoTask(task.name.clone()));
    }
    let find = |parent: &str| {
        by_name.get(parent).copied().ok_or_else(|| GraphError::Unknown {
            task: task.name.clone(),
            parent: parent.to_owned(),
        })
    };
    let mut parents =
        task.run_after.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    let when = task
        .when
        .iter()
        .map(|when| comparison(task, when, &find))
        .collect::<Result<Vec<_>, _>>()?;
    let templates = when.iter().flat_map(|when| when.values.iter().chain([&when.input]));
    parents.extend(templates.flatten().filter_map(|piece| match piece {
        Piece::Result { task, .. } => Some(*task),
        Piece::Text(_) => None,
    }));
    parents.sort_unstable();
    parents.dedup();
    let timeout = duration::limit(task.timeout.as_deref())
        .map_err(|source| GraphError::Timeout { task: task.name.clone(), source })?;
    Ok(Node {
        name: task.name.clone(),
        parents,
        children: Vec::new(),
        when,
        ignores_failure: task.on_error.as_deref() == Some("continue"),
        timeout,
    })
}

fn comparison(
    task: &PipelineTask,
    when: &WhenExpression,
    find: &impl Fn(&str) -> Result<usize, GraphError>,
) -> Result<When, GraphError> {
    let negated = match when.operator.as_str() {
        "in" => false,
        "notin" => true,
        other => {
            return Err(GraphError::Operator {
                task: task.name.clone(),
                operator: other.to_owned(),
            });
        }
    };
    let values = when.values.iter().map(|value| template(value, find)).collect::<Result<_, _>>()?;
    Ok(When { input: template(&when.input, find)?, negated, values })
}

/// Reads `$(tasks.NAME.results.RESULT)`; everything else in the text stands for itself.
fn template(
    mut text: &str,
    find: &impl Fn(&str) -> Result<usize, GraphError>,
) -> Result<Template, GraphError> {
    const OPEN: &str = "$(tasks.";
    let mut pieces = Template::new();
    let mut plain = String::new();
    while let Some((before, after)) = text.split_once(OPEN) {
        plain.push_str(before);
        let reference = after.split_once(')').and_then(|(inside, rest)| {
            let (task, result) = inside.split_once(".results.")?;
            Some((task, result, rest))
        });
        let Some((task, result, rest)) = reference else {
            plain.push_str(OPEN);
            text = after;
            continue;
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Result { task: find(task)?, name: result.to_owned() });
        text = rest;
    }
    plain.push_str(text);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_model::tekton::TaskSpec;

    fn task(name: &str, after: &[&str]) -> PipelineTask {
        PipelineTask {
            name: name.to_owned(),
            run_after: after.iter().map(ToString::to_string).collect(),
            task_spec: Some(TaskSpec::default()),
            ..PipelineTask::default()
        }
    }

    fn graph(tasks: Vec<PipelineTask>) -> Result<Graph, GraphError> {
        Graph::new(&PipelineSpec { tasks, ..PipelineSpec::default() })
    }

    #[test]
    fn results_are_parents_like_run_after() {
        let mut third = task("c", &["a"]);
        third.when = vec![WhenExpression {
            input: "x-$(tasks.b.results.decision)-$(tasks.oops".to_owned(),
            operator: "in".to_owned(),
            values: vec!["$(tasks.a.results.r)".to_owned(), String::new()],
        }];
        let graph = graph(vec![task("a", &[]), task("b", &[]), third]).unwrap();
        let node = graph.node(2).unwrap();
        assert_eq!(node.parents, [0, 1]);
        assert_eq!(
            node.when[0].input,
            [
                Piece::Text("x-".to_owned()),
                Piece::Result { task: 1, name: "decision".to_owned() },
                Piece::Text("-$(tasks.oops".to_owned()),
            ]
        );
        assert_eq!(node.when[0].values[1], [Piece::Text(String::new())]);
        assert_eq!(graph.node(0).unwrap().children, [2]);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let mut operator = task("a", &[]);
        operator.when = vec![WhenExpression::default()];
        let mut timeout = task("a", &[]);
        timeout.timeout = Some("soon".to_owned());
        let mut empty = task("a", &[]);
        empty.task_spec = None;
        for (tasks, reason, part) in [
            (vec![task("a", &[]), task("a", &[])], "PipelineInvalidGraph", "two tasks"),
            (vec![task("a", &["b"])], "PipelineInvalidGraph", "waits for \"b\""),
            (vec![task("a", &["a"])], "PipelineInvalidGraph", "each other: a"),
            (
                vec![task("x", &[]), task("a", &["b"]), task("b", &["a"])],
                "PipelineInvalidGraph",
                "each other: a, b",
            ),
            (vec![operator], "PipelineValidationFailed", "operator"),
            (vec![timeout], "PipelineValidationFailed", "soon"),
            (vec![empty], "PipelineValidationFailed", "no taskSpec"),
        ] {
            let error = graph(tasks).unwrap_err();
            assert_eq!(error.reason(), reason);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
