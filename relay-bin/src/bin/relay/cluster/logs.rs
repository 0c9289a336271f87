//! `relay logs`.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use relay_local::executor::{News, StepNews};
use relay_local::{Masks, Narrator, Stream};
use relay_model::v1beta1::{Condition, RequestError, Run, StepStatus};
use relay_model::workflow_file::suggestion;
use tokio::sync::mpsc;

use super::masks::{Hidden, hidden};
use super::tail::{Piece, Pods};
use super::{Cluster, Problem, screen};
use crate::outline::Outline;
use crate::screen::{Message, Screen, Terminal};
use crate::{Globals, print};

/// How many pieces of a log wait for a slow reader.
const BACKLOG: usize = 16;

/// What `relay logs` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run
    run: String,
    /// The step; all of them, one after the other, where none is named
    step: Option<String>,
    /// Go on until the end of the run, or of the step
    #[arg(short, long)]
    follow: bool,
}

/// Prints the logs of a run; the exit code.
pub(crate) async fn logs(
    cluster: &Cluster,
    options: &Options,
    globals: Globals,
) -> Result<u8, Problem> {
    let run = cluster.run(&options.run).await?;
    let status = run.status.clone().unwrap_or_default();
    let workflow = cluster.workflow_of(&run).await;
    if let Some(step) = &options.step {
        let planned = workflow.iter().flat_map(|workflow| &workflow.spec.steps);
        let known = status.steps.iter().map(|step| step.name.as_str());
        let names: Vec<_> = known.chain(planned.map(|step| step.name.as_str())).collect();
        if !names.contains(&step.as_str()) {
            let hint = suggestion(step, names);
            let (run, step) = (options.run.clone(), step.clone());
            return Err(RequestError::NoStep { run, step, hint }.into());
        }
    }
    if options.follow && !status.is_completed() {
        let step = options.step.clone();
        return screen::logs(cluster, &run, workflow.as_ref(), step, globals).await;
    }
    let wanted = |step: &&StepStatus| options.step.as_ref().is_none_or(|name| step.name == *name);
    let steps: Vec<_> = status.steps.iter().filter(wanted).collect();
    let outline = match &workflow {
        Some(workflow) => Outline::of_workflow(workflow),
        None => Outline::of_status(&run),
    };
    let terminal = Terminal { live: false, ..Terminal::detect(globals.out, globals.talks()) };
    let Hidden { masks, problem } = hidden(cluster).await;
    problem.iter().for_each(|problem| print::note(problem));
    let screen = Screen::new(&outline, globals.out, terminal);
    let printed = print_all(cluster, &run, &steps, masks, screen.messages()).await;
    let written = screen.close().await;
    let without = printed?;
    if let Some(code) = print::unwritten(written.err()) {
        return Ok(code);
    }
    if status.steps.is_empty() {
        print::note(&format!("run {:?} has not begun: relay status {}", options.run, options.run));
    }
    for step in &without {
        print::note(&format!("step {step:?} has no log: {}", why(&steps, step)));
    }
    Ok(u8::from(options.step.is_some() && (!without.is_empty() || steps.is_empty())))
}

/// Shows the logs of steps, one after the other; the steps that have none.
async fn print_all(
    cluster: &Cluster,
    run: &Run,
    steps: &[&StepStatus],
    masks: Arc<Masks>,
    messages: &mpsc::Sender<Message>,
) -> Result<Vec<String>, Problem> {
    let pods = Pods::of(cluster, run);
    let name = run.name_any();
    let mut narrator = Narrator::new(&name, masks, HashSet::new());
    let mut without = Vec::new();
    for step in steps {
        let (sender, mut pieces) = mpsc::channel(BACKLOG);
        let show = async {
            while let Some(Piece::Output(step, bytes)) = pieces.recv().await {
                let news = News::Output { stream: Stream::Stdout, bytes };
                let (run, step) = (name.as_str().into(), step.as_str().into());
                let told = narrator.step(&StepNews { run, step, news }, Timestamp::now());
                for event in told {
                    // Fails when nobody reads any more.
                    drop(messages.send(Message::Event(event)).await);
                }
            }
        };
        let read = async {
            let read = pods.written(&step.name, &sender).await;
            drop(sender);
            read
        };
        let (read, ()) = tokio::join!(read, show);
        if !read? {
            without.push(step.name.clone());
        }
    }
    Ok(without)
}

/// Why a step has no log.
fn why(steps: &[&StepStatus], name: &str) -> String {
    let step = steps.iter().find(|step| step.name == name);
    let is = |kind| step.and_then(|step| step.condition(kind)).is_some_and(Condition::is_true);
    let succeeded = step.and_then(|step| step.condition("Succeeded"));
    let message = succeeded.and_then(|condition| condition.message.as_deref());
    if is("Skipped") {
        format!("it was skipped ({})", message.unwrap_or("no reason is known"))
    } else if is("Completed") {
        "its pod is gone, or there never was one".to_owned()
    } else {
        "it has not begun".to_owned()
    }
}
