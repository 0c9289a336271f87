//! Two replicas.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use relay_model::v1beta1::RunStatus;
use serde_json::json;

use crate::process::until;
use crate::world::World;

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn of_two_replicas_one_works_and_the_other_takes_over() {
    let world = World::new().await;
    world.tenant(json!({})).await;
    world.workflow().await;
    let started = |status: &RunStatus| status.start_time.is_some();
    let first = world.operator();
    first.says("this replica leads");
    let second = world.operator();
    second.says("waiting: another replica leads");
    until("the second one is ready", || second.get("/readyz"));
    world.run("one").await;
    world.until("one", started).await;
    assert!(first.leads() && !second.leads());
    assert_eq!(
        second.metric("relay_operator_reconciles_total{controller=\"run\",result=\"ok\"}"),
        0.0
    );

    // One that lets go is followed soon.
    let began = Instant::now();
    let (code, took) = first.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    second.says("this replica leads");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    world.run("two").await;
    world.until("two", started).await;
    // What the first one began, the second one ends.
    world.carry_out(&world.namespace, "one").await;
    world.until("one", RunStatus::is_completed).await;

    // One that is killed is followed when its lease has run out.
    let third = world.operator();
    third.says("waiting: another replica leads");
    let began = Instant::now();
    second.signal(Signal::SIGKILL);
    third.says("this replica leads");
    println!("taken over {:?} after a crash", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    world.carry_out(&world.namespace, "two").await;
    world.until("two", RunStatus::is_completed).await;
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn who_is_cut_off_stops_working_before_another_one_begins() {
    let world = World::new().await;
    let first = world.operator();
    first.says("this replica leads");
    let second = world.operator();
    second.says("waiting: another replica leads");
    // As long as it stands still it renews nothing; awake again it finds that it is too late.
    first.signal(Signal::SIGSTOP);
    second.says("this replica leads");
    first.signal(Signal::SIGCONT);
    first.says("this replica does not lead any more: work was broken off");
    until("one leads", || (!first.leads() && second.leads()).then_some(()));
}
