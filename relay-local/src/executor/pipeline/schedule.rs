//! Which task is next.
//!
//! A [`Schedule`] is told what became of the tasks' children and answers what to do. It talks to
//! nobody. What it is told may be repeated, and may come in any order. Each task is looked at
//! when its last parent is over, so a whole pipeline takes time in proportion to its edges.

use std::collections::VecDeque;

use relay_model::tekton::{ChildReference, RunResult};

use super::graph::{Graph, Piece, Template, When};

/// What is known of a pipeline's tasks.
#[derive(Debug)]
pub(super) struct Schedule {
    graph: Graph,
    tasks: Vec<Task>,
    /// Tasks whose parents are over.
    ready: VecDeque<usize>,
    /// Tasks that are not over.
    open: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Task {
    /// Parents that are not over.
    parents: usize,
    state: TaskState,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// It waits for its parents.
    Waiting,
    /// Its child is to be made.
    Chosen,
    /// Its child is at work.
    Running(ChildReference),
    /// Its child is done.
    Done(ChildReference, Outcome),
    /// It has no child and gets none.
    Skipped(Skip),
}

/// How the child of a task ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) results: Vec<RunResult>,
}

/// How the child of a task ended, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Succeeded,
    Failed,
    /// Somebody cancelled the child, or took it away.
    Cancelled,
}

/// Why a task is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    When,
    MissingResults,
    Parents,
    Stopping,
    TimedOut,
}

impl Skip {
    /// The reason that Tekton gives.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::When => "When Expressions evaluated to false",
            Self::MissingResults => "Results were missing",
            Self::Parents => "Parent Tasks were skipped",
            Self::Stopping => "PipelineRun was stopping",
            Self::TimedOut => "PipelineRun timeout has been reached",
        }
    }
}

/// How many tasks are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
    pub(super) cancelled: usize,
    pub(super) skipped: usize,
    pub(super) open: usize,
}

impl Schedule {
    pub(super) fn new(graph: Graph) -> Self {
        let tasks: Vec<Task> = graph
            .nodes()
            .map(|node| Task { parents: node.parents.len(), state: TaskState::Waiting })
            .collect();
        let ready = graph
            .nodes()
            .enumerate()
            .filter_map(|(index, node)| node.parents.is_empty().then_some(index))
            .collect();
        Self { open: graph.len(), graph, tasks, ready, stopping: false }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn state(&self, index: usize) -> Option<&TaskState> {
        self.tasks.get(index).map(|task| &task.state)
    }

    /// All tasks in the order of the pipeline.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, &TaskState)> {
        self.graph.nodes().zip(&self.tasks).map(|(node, task)| (node.name.as_str(), &task.state))
    }

    /// Notes that a task has a child at work. Answers whether that is new.
    pub(super) fn started(&mut self, index: usize, child: ChildReference) -> bool {
        match self.tasks.get_mut(index) {
            Some(task) if matches!(task.state, TaskState::Waiting | TaskState::Chosen) => {
                task.state = TaskState::Running(child);
                true
            }
            _ => false,
        }
    }

    /// Notes how the child of a task ended. Answers whether that is new.
    pub(super) fn ended(&mut self, index: usize, child: ChildReference, outcome: Outcome) -> bool {
        let Some(task) = self.tasks.get_mut(index) else { return false };
        if matches!(task.state, TaskState::Done(..) | TaskState::Skipped(_)) {
            return false;
        }
        let ignored = self.graph.node(index).is_some_and(|node| node.ignores_failure);
        self.stopping |= match outcome.verdict {
            Verdict::Succeeded => false,
            Verdict::Failed => !ignored,
            Verdict::Cancelled => true,
        };
        task.state = TaskState::Done(child, outcome);
        self.over(index);
        true
    }

    /// Skips what has not started: no further task is chosen.
    pub(super) fn stop(&mut self, why: Skip) {
        self.stopping = true;
        self.ready.clear();
        for index in 0..self.tasks.len() {
            if let Some(task) = self.tasks.get_mut(index)
                && matches!(task.state, TaskState::Waiting | TaskState::Chosen)
            {
                task.state = TaskState::Skipped(why);
                self.open -= 1;
            }
        }
    }

    /// The tasks to start now. Those that are to be skipped are, along the way.
    pub(super) fn choose(&mut self) -> Vec<usize> {
        if self.stopping {
            self.stop(Skip::Stopping);
        }
        let mut chosen = Vec::new();
        while let Some(index) = self.ready.pop_front() {
            if self.state(index) != Some(&TaskState::Waiting) {
                continue;
            }
            let skip = self.skip(index);
            let Some(task) = self.tasks.get_mut(index) else { continue };
            match skip {
                None => {
                    task.state = TaskState::Chosen;
                    chosen.push(index);
                }
                Some(why) => {
                    task.state = TaskState::Skipped(why);
                    self.over(index);
                }
            }
        }
        chosen
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether nothing is left to do or to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.open == 0
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (node, task) in self.graph.nodes().zip(&self.tasks) {
            match &task.state {
                TaskState::Waiting | TaskState::Chosen | TaskState::Running(_) => counts.open += 1,
                TaskState::Skipped(_) => counts.skipped += 1,
                TaskState::Done(_, outcome) => match outcome.verdict {
                    Verdict::Succeeded => counts.succeeded += 1,
                    Verdict::Cancelled => counts.cancelled += 1,
                    Verdict::Failed => {
                        counts.failed += 1;
                        counts.ignored += usize::from(node.ignores_failure);
                    }
                },
            }
        }
        counts
    }

    fn over(&mut self, index: usize) {
        self.open -= 1;
        let Some(node) = self.graph.node(index) else { return };
        for child in &node.children {
            if let Some(task) = self.tasks.get_mut(*child) {
                task.parents -= 1;
                if task.parents == 0 {
                    self.ready.push_back(*child);
                }
            }
        }
    }

    /// Why a task whose parents are over does not run.
    fn skip(&self, index: usize) -> Option<Skip> {
        let node = self.graph.node(index)?;
        // A parent without work says nothing about those behind it; one that could not be
        // decided does.
        let undecided = node.parents.iter().any(|parent| {
            matches!(self.state(*parent), Some(TaskState::Skipped(why)) if *why != Skip::When)
        });
        if undecided {
            return Some(Skip::Parents);
        }
        let mut holds = true;
        for when in &node.when {
            match self.evaluate(when) {
                None => return Some(Skip::MissingResults),
                Some(held) => holds &= held,
            }
        }
        (!holds).then_some(Skip::When)
    }

    fn evaluate(&self, when: &When) -> Option<bool> {
        let input = self.fill(&when.input)?;
        let mut found = false;
        for value in &when.values {
            found |= self.fill(value)? == input;
        }
        Some(found != when.negated)
    }

    fn fill(&self, template: &Template) -> Option<String> {
        let mut text = String::new();
        for piece in template {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Result { task, name } => {
                    let Some(TaskState::Done(_, outcome)) = self.state(*task) else { return None };
                    let result = outcome.results.iter().find(|result| result.name == *name)?;
                    text.push_str(&result.value);
                }
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;
