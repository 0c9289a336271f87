//! Faults at every call: whatever fails, and wherever the operator crashes, the end is the same.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use kube_memory::{Fault, RequestInfo, Verb};
use relay_core::Value;
use relay_model::tekton::{CustomRun, PipelineRun, TaskRun};
use relay_model::v1beta1::{Run, RunStatus, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::tekton::{Ending, Tekton};
use crate::tenant::policies;
use crate::world::World;

/// What a scenario came to.
#[derive(Debug, PartialEq)]
struct End {
    /// The steps that ran, in order.
    ran: Vec<String>,
    /// Everything that is there, without what differs from time to time.
    objects: Vec<serde_json::Value>,
    /// Objects that are left when tenant and run have been deleted.
    left: Vec<String>,
}

/// Whether a request of the controllers can meet a fault here. Those that begin watches are left out:
/// they are begun again after a second or more, which says nothing about reconcilers.
fn counts(request: &RequestInfo) -> bool {
    match request.verb {
        Verb::Watch => false,
        Verb::List => request.resource == "namespaces" || request.resource == "secrets",
        _ => true,
    }
}

type Faults = Arc<dyn Fn(u64) -> Option<Fault> + Send + Sync>;

/// What happens in a scenario.
struct Scenario {
    world: World,
    tekton: Tekton,
    /// How many requests the controllers have made, of those that count.
    calls: Arc<AtomicU64>,
    /// Of these, those that were to change something.
    writes: Arc<AtomicU64>,
    crash: Arc<AtomicBool>,
}

impl Scenario {
    /// Hands out a fault for the number of a call. With `crash`, a fault ends the operator, and
    /// another one takes over.
    fn new(faults: Faults, crash: bool) -> Self {
        let mut world = World::still();
        let (calls, writes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let crashed = Arc::<AtomicBool>::default();
        let counters = (Arc::clone(&calls), Arc::clone(&writes), Arc::clone(&crashed));
        let cluster = world.cluster.with_faults(move |request| {
            let (calls, writes, crashed) = &counters;
            if !counts(request) {
                return None;
            }
            if request.verb.is_write() {
                writes.fetch_add(1, Ordering::Relaxed);
            }
            let fault = faults(calls.fetch_add(1, Ordering::Relaxed) + 1)?;
            crashed.store(crash, Ordering::Relaxed);
            Some(fault)
        });
        world.start_on(cluster.client("default"));
        let go = [("go".to_owned(), Value::from("yes"))].into();
        let tekton = Tekton::new(world.client.clone())
            .ending("build", Ending { outputs: go, ..Ending::default() })
            .ending("bad", Ending { exit_code: 2, ..Ending::default() });
        Self { world, tekton, calls, writes, crash: crashed }
    }

    /// Lets things happen until the run has this status.
    async fn until(&mut self, done: impl Fn(&RunStatus) -> bool) {
        for _ in 0..5_000 {
            self.after_a_crash();
            self.tekton.advance().await;
            let run = self.world.runs().get("r").await.unwrap();
            if done(&run.status.unwrap_or_default()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let status = self.world.runs().get("r").await.unwrap().status;
        panic!("the run did not get there: {}", serde_json::to_string_pretty(&status).unwrap());
    }

    fn after_a_crash(&mut self) {
        if self.crash.swap(false, Ordering::Relaxed) {
            self.world.start_on(self.world.client.clone());
        }
    }

    async fn play(&mut self) -> End {
        let template = json!({"namespaceTemplate": {"metadata": {"name": "acme"}}});
        let secret = json!({
            "metadata": {"name": "key", "labels": {"relay.sh/secret": "key"}},
            "stringData": {"value": "s3cret"},
        });
        self.world.create_secret("default", secret).await;
        self.world.create_tenant_of("demo", template).await;
        let answer = json!({"$fn.equals": [{"$type": "Answer", "askRef": "ok", "name": "approval"}, "approved"]});
        let steps = json!([
            {"name": "build", "image": "i", "input": ["x"]},
            {"name": "bad", "image": "i", "command": "c", "dependsOn": ["build"]},
            {"name": "ok", "image": "", "dependsOn": ["bad"], "when": ["${steps.bad.failed}", answer]},
            {"name": "deploy", "image": "i", "command": "c", "dependsOn": ["ok"],
             "when": "${outputs.build.go == 'yes' && secrets.key == 's3cret'}"},
            {"name": "never", "image": "i", "command": "c", "dependsOn": ["bad"]},
        ]);
        self.world.create_workflow("w", steps).await;
        self.world.create_run("r", "w").await;
        let asks = |status: &RunStatus| {
            let completed = status.condition("Completed");
            completed.and_then(|c| c.reason.as_deref()) == Some("WaitingForApproval")
        };
        self.until(asks).await;
        let patch = json!({"spec": {"state": {"steps": {"ok": {"approval": "approved"}}}}});
        let patch = Patch::Merge(&patch);
        self.world.runs().patch("r", &PatchParams::default(), &patch).await.unwrap();
        self.until(RunStatus::is_completed).await;
        let objects = self.settled().await;

        let client = self.world.client.clone();
        let tenants: Api<Tenant> = Api::default_namespaced(client.clone());
        self.world.runs().delete("r", &DeleteParams::default()).await.unwrap();
        tenants.delete("demo", &DeleteParams::default()).await.unwrap();
        let mut left = Vec::new();
        for _ in 0..2_000 {
            self.after_a_crash();
            left = left_over(&client).await;
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        End { ran: self.tekton.ran.clone(), objects, left }
    }

    /// What is there once nothing is written any more.
    async fn settled(&mut self) -> Vec<serde_json::Value> {
        let mut before = 0;
        loop {
            self.after_a_crash();
            self.tekton.advance().await;
            let writes = self.world.cluster.writes();
            if writes == before {
                return everything(&self.world.client).await;
            }
            before = writes;
            // Longer than the wait after a first failure.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
}

async fn list<K>(client: &Client) -> Vec<serde_json::Value>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let listed = Api::<K>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    listed.into_iter().map(|object| steady(serde_json::to_value(object).unwrap())).collect()
}

async fn everything(client: &Client) -> Vec<serde_json::Value> {
    let mut objects = list::<Run>(client).await;
    objects.extend(list::<Tenant>(client).await);
    objects.extend(list::<Namespace>(client).await);
    objects.extend(list::<ConfigMap>(client).await);
    objects.extend(list::<PipelineRun>(client).await);
    objects.extend(list::<TaskRun>(client).await);
    objects.extend(list::<CustomRun>(client).await);
    objects.extend(policies(client).await);
    objects
}

async fn left_over(client: &Client) -> Vec<String> {
    let mut left = everything(client).await;
    left.retain(|object| object["kind"] != "Namespace" || object["metadata"]["name"] == "acme");
    left.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
}

/// Without what differs from time to time: identities, versions, times, sealed tokens. JSON in text is
/// looked into.
fn steady(value: serde_json::Value) -> serde_json::Value {
    const FLEETING: [&str; 13] = [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "lastTransitionTime",
        "startTime",
        "completionTime",
        "observationTime",
        "relay.sh/token",
        "Timestamp",
        "Time",
        "time",
    ];
    match value {
        serde_json::Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !FLEETING.contains(&key.as_str()))
            .map(|(key, value)| (key, steady(value)))
            .collect(),
        serde_json::Value::Array(list) => list.into_iter().map(steady).collect(),
        serde_json::Value::String(text) if text.starts_with(['{', '[']) => {
            match serde_json::from_str(&text) {
                Ok(inner) => steady(inner),
                Err(_) => text.into(),
            }
        }
        other => other,
    }
}

async fn without_faults() -> (End, u64, u64) {
    let mut scenario = Scenario::new(Arc::new(|_| None), false);
    let end = scenario.play().await;
    assert_eq!(end.left, [""; 0], "all is gone in the end");
    assert_eq!(end.ran, ["build", "bad", "deploy"]);
    let (calls, writes) = (&scenario.calls, &scenario.writes);
    (end, calls.load(Ordering::Relaxed), writes.load(Ordering::Relaxed))
}

/// Plays the scenario once for each call, and some more, with faults from that call on.
async fn ring(length: u64, fault: fn() -> Fault, crash: bool) {
    let (expected, calls, _) = without_faults().await;
    assert!(calls > 40, "{calls} calls");
    for at in 1..=calls + 3 {
        let faults = move |call| (at..at + length).contains(&call).then(fault);
        let mut scenario = Scenario::new(Arc::new(faults), crash);
        let end = tokio::time::timeout(Duration::from_secs(30), scenario.play()).await;
        let end = end.unwrap_or_else(|_| panic!("a fault at call {at} of {calls}: no end"));
        assert_same(&end, &expected, &format!("a fault at call {at} of {calls}"));
    }
}

fn assert_same(end: &End, expected: &End, name: &str) {
    assert_eq!((&end.ran, &end.left), (&expected.ran, &expected.left), "{name}");
    let pretty = |object| serde_json::to_string_pretty(object).unwrap();
    for (object, wanted) in end.objects.iter().zip(&expected.objects) {
        let (text, wanted_text) = (pretty(object), pretty(wanted));
        let only = |text: &str, other: &str| {
            let lines = text.lines().filter(|line| !other.lines().any(|known| known == *line));
            lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
        };
        assert!(
            object == wanted,
            "{name}: {} {}\nonly here:\n{}\nonly without faults:\n{}",
            object["kind"],
            object["metadata"]["name"],
            only(&text, &wanted_text),
            only(&wanted_text, &text),
        );
    }
    assert_eq!(end.objects.len(), expected.objects.len(), "{name}");
}

#[tokio::test]
async fn every_call_fails() {
    // A read is tried four times before it is given up.
    ring(4, || Fault::status(503, "ServiceUnavailable", "try again"), false).await;
}

#[tokio::test]
async fn the_answer_to_every_call_is_lost_once() {
    ring(1, || Fault::reset().after_the_write(), false).await;
}

#[tokio::test]
async fn the_operator_crashes_after_every_call() {
    ring(1, || Fault::reset().after_the_write(), true).await;
}

/// A fault for a fifth of all calls, of all kinds, by a seed.
fn random(seed: u64) -> Faults {
    Arc::new(move |call| {
        // SplitMix64: enough to pick by.
        let mut bits = (seed << 32 | call).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        bits.is_multiple_of(5).then(|| match (bits / 5) % 6 {
            0 => Fault::status(500, "InternalError", "something broke"),
            1 => Fault::status(409, "Conflict", "the object has been modified"),
            2 => Fault::status(504, "Timeout", "too slow"),
            3 => Fault::reset(),
            4 => Fault::reset().after_the_write(),
            _ => Fault::status(503, "ServiceUnavailable", "try again"),
        })
    })
}

/// `RELAY_FAULT_SEEDS` says how many; each failure names its seed.
#[tokio::test]
async fn a_fifth_of_all_calls_fails() {
    let seeds = std::env::var("RELAY_FAULT_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let (expected, _, writes) = without_faults().await;
    for seed in 1..=seeds.unwrap_or(10) {
        let mut scenario = Scenario::new(random(seed), false);
        let end = tokio::time::timeout(Duration::from_secs(60), scenario.play()).await;
        let end = end.unwrap_or_else(|_| panic!("seed {seed}: no end"));
        assert_same(&end, &expected, &format!("seed {seed}"));
        let asked = scenario.writes.load(Ordering::Relaxed);
        assert!(asked <= 3 * writes, "seed {seed}: {asked} writes in the place of {writes}");
    }
}
