//! What an operator keeps in memory.

use std::collections::BTreeMap;

use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::world::World;

/// Runs that have ended, with all their objects.
const RUNS: usize = 2_000;
/// What the operator may take, in KiB.
const BUDGET: u64 = 64 << 10;

/// What `/proc` says of a process, in KiB.
fn memory(pid: u32) -> BTreeMap<String, u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let fields = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().strip_suffix(" kB")?.parse().ok()?))
    });
    fields.collect()
}

#[tokio::test]
#[ignore = "takes minutes: `just nightly` runs it"]
async fn nightly_memory_at_two_thousand_runs_that_have_ended() {
    let world = World::new().await;
    world.tenant(json!({})).await;
    world.workflow().await;
    let operator = world.operator();
    operator.says("this replica leads");
    for batch in (0..RUNS).collect::<Vec<_>>().chunks(50) {
        let all = batch.iter().map(|number| {
            let (world, name) = (&world, format!("run-{number}"));
            async move {
                world.run(&name).await;
                world.carry_out(&world.namespace, &name).await;
                world.until(&name, RunStatus::is_completed).await;
            }
        });
        futures::future::join_all(all).await;
    }
    let after_work = memory(operator.pid());
    println!("after the work: {} KiB, at most {} KiB", after_work["VmRSS"], after_work["VmHWM"]);
    // One that starts beside them reads them all at once.
    operator.stop();
    let operator = world.operator();
    operator.says("this replica leads");
    crate::process::until("all runs are known", || {
        (operator.metric("workflow_run_count") >= 2_000.0).then_some(())
    });
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let after_start = memory(operator.pid());
    println!("after a start: {} KiB, at most {} KiB", after_start["VmRSS"], after_start["VmHWM"]);
    for memory in [after_work, after_start] {
        assert!(memory["VmRSS"] <= BUDGET, "{memory:?}");
    }
}
