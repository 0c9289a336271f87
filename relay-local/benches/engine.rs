//! What the engine costs beside the programs of its steps.
//!
//! `cargo bench -p relay-local`; what came out is in `docs/performance.md`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has to say so at once")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use futures::StreamExt as _;
use relay_local::{Engine, EventKind, Outcome, Submission};
use relay_model::workflow_file::WorkflowFile;
use tokio::runtime::Runtime;

/// A workflow of so many steps that do nothing, in a row or side by side.
fn workflow(steps: usize, in_a_row: bool) -> Submission {
    let mut text = "steps:\n".to_owned();
    for index in 0..steps {
        let after = match index.checked_sub(1) {
            Some(before) if in_a_row => format!(", dependsOn: s{before}"),
            _ => String::new(),
        };
        writeln!(text, "- {{name: s{index}, image: x, command: sh, args: [-c, 'true']{after}}}")
            .unwrap();
    }
    let parsed = WorkflowFile::parse(&text, "bench");
    Submission::new(&parsed.file.unwrap(), BTreeMap::new())
}

/// Runs it: the time from the start of the engine to the first step, and to the end of the run.
async fn run(submission: Submission) -> (Duration, Duration) {
    let begun = Instant::now();
    let engine = Engine::new(std::env::current_exe().unwrap());
    let mut run = engine.start(submission).await.unwrap();
    let mut first = None;
    while let Some(event) = run.events().next().await {
        if matches!(event.kind, EventKind::Started { .. }) {
            first.get_or_insert_with(|| begun.elapsed());
        }
    }
    let finished = run.finish().await.unwrap();
    assert_eq!(finished.outcome, Outcome::Succeeded);
    (first.unwrap(), begun.elapsed())
}

/// The same programs with nothing around them.
fn bare(steps: usize) {
    for _ in 0..steps {
        let status = std::process::Command::new("sh").args(["-c", "true"]).status().unwrap();
        assert!(status.success());
    }
}

fn engine(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    group.bench_function("bare sh, 100 times", |bencher| bencher.iter(|| bare(100)));
    group.bench_function("to the first step", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds).map(|_| runtime.block_on(run(workflow(1, true))).0).sum()
        });
    });
    for (shape, in_a_row, sizes) in
        [("in a row", true, [1, 100, 1000]), ("side by side", false, [1, 100, 1000])]
    {
        for steps in sizes {
            group.bench_with_input(BenchmarkId::new(shape, steps), &steps, |bencher, &steps| {
                bencher.iter_custom(|rounds| {
                    (0..rounds).map(|_| runtime.block_on(run(workflow(steps, in_a_row))).1).sum()
                });
            });
        }
    }
    group.finish();
}

fn main() -> ExitCode {
    // Steps find this program as `ni`.
    if let Some(code) = relay_local::be_ni() {
        return code;
    }
    relay_local::executor::raise_open_file_limit().unwrap();
    // As the command line does it.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    engine(&mut criterion, &runtime);
    criterion.final_summary();
    ExitCode::SUCCESS
}
