//! Runs a workflow inside another program, with secrets and an event handler of its own.

use std::{io::Write as _, process::ExitCode, sync::Arc};

use futures::StreamExt as _;
use relay_core::MemorySecrets;
use relay_local::{Engine, EventKind, Submission, be_ni};
use relay_model::workflow_file::WorkflowFile;

const WORKFLOW: &str =
    "steps: [{name: greet, image: any, env: {WHO: !Secret who}, input: [echo Hello $WHO]}]";

#[tokio::main]
async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let file = WorkflowFile::parse(WORKFLOW, "embedded").file.ok_or("not a workflow")?;
    let secrets = MemorySecrets::default().with_secret("who", "otter".into());
    let engine = Engine::new(std::env::current_exe()?).with_secrets(Arc::new(secrets));
    let mut run = engine.start(Submission::new(&file, Default::default())).await?;
    while let Some(event) = run.events().next().await {
        if let EventKind::Output { step, text, .. } = event.kind {
            writeln!(std::io::stdout(), "{step} says: {text}")?;
        }
    }
    Ok(ExitCode::from(run.finish().await?.outcome.exit_code()))
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    be_ni().map_or_else(run, Ok)
}
