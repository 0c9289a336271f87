//! Numbers and Events of the controllers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube_memory::Fault;
use relay_core::{Claims, Hs256Key, TokenError, TokenSigner};
use relay_reconcile::telemetry::Events;
use relay_reconcile::{Context, Telemetry};
use secrecy::SecretString;
use serde_json::json;

use crate::tekton::{Ending, Tekton};
use crate::world::World;

/// A world whose controllers publish Events.
fn world() -> (World, Telemetry) {
    let mut world = World::still();
    let telemetry = publishing(&mut world);
    (world.start(), telemetry)
}

fn publishing(world: &mut World) -> Telemetry {
    let (events, publish) = Events::new(world.client.clone(), "test");
    tokio::spawn(publish);
    let telemetry = Telemetry { events, ..Telemetry::default() };
    let context = Context { telemetry: telemetry.clone(), ..(*world.context).clone() };
    world.context = Arc::new(context);
    telemetry
}

/// `KIND/NAME: TYPE REASON NOTE` of every Event, sorted.
async fn events(world: &World) -> Vec<String> {
    let api: Api<Event> = Api::default_namespaced(world.client.clone());
    let told = api.list(&Default::default()).await.unwrap().items.into_iter().map(|event| {
        let of = event.regarding.unwrap();
        let (kind, name) = (of.kind.unwrap(), of.name.unwrap());
        let (type_, reason) = (event.type_.unwrap(), event.reason.unwrap());
        format!("{kind}/{name}: {type_} {reason}: {}", event.note.unwrap_or_default())
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

async fn until_told(world: &World, wanted: &str) {
    for _ in 0..2_000 {
        if events(world).await.iter().any(|event| event.contains(wanted)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never told: {wanted}; {:?}", events(world).await);
}

fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
}

#[tokio::test]
async fn a_run_is_told_of_once_and_counted() {
    let (world, telemetry) = world();
    world.create_run("early", "later").await;
    until_told(&world, "WorkflowNotFound").await;
    let page = telemetry.metrics.encode().unwrap();
    assert_eq!(value(&page, "workflow_run_count"), 1.0);
    assert_eq!(value(&page, "workflow_run_status{status=\"queued\"}"), 1.0);

    world.create_tenant("demo").await;
    until_told(&world, "Tenant/demo: Normal Ready").await;
    world.create_workflow("later", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    world.create_workflow("bad", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    let mut tekton = Tekton::new(world.client.clone());
    world.finish("early", &mut tekton).await;
    until_told(&world, "Succeeded").await;
    let mut tekton = tekton.ending("a", Ending { exit_code: 3, ..Ending::default() });
    world.create_run("wrong", "bad").await;
    world.finish("wrong", &mut tekton).await;
    world.create_run("stopped", "bad").await;
    let cancel = json!({"spec": {"state": {"workflow": {"cancel": true}}}});
    world.runs().patch("stopped", &PatchParams::default(), &Patch::Merge(&cancel)).await.unwrap();
    world.finish("stopped", &mut tekton).await;
    until_told(&world, "Failed").await;
    until_told(&world, "Cancelled").await;

    insta::assert_yaml_snapshot!(events(&world).await);
    let page = telemetry.metrics.encode().unwrap();
    for (name, expected) in [
        ("workflow_run_count", 3.0),
        ("workflow_run_status{status=\"in-progress\"}", 0.0),
        ("workflow_run_outcome_total{outcome=\"success\"}", 1.0),
        ("workflow_run_outcome_total{outcome=\"failure\"}", 1.0),
        ("workflow_run_outcome_total{outcome=\"cancelled\"}", 1.0),
        ("workflow_run_total_time_seconds_count", 3.0),
        ("relay_operator_reconciles_in_flight{controller=\"run\"}", 0.0),
    ] {
        assert_eq!(value(&page, name), expected, "{name}");
    }
    assert!(
        value(&page, "relay_operator_reconciles_total{controller=\"run\",result=\"ok\"}") > 3.0
    );
}

#[tokio::test]
async fn a_reconcile_that_goes_on_failing_is_an_event_that_counts() {
    let mut world = World::still();
    let faulty = world.cluster.with_faults(|request| {
        let refused = request.resource == "workflows" && request.name.is_some();
        refused.then(|| Fault::status(500, "InternalError", "no disk"))
    });
    let telemetry = publishing(&mut world);
    world.start_on(faulty.client("default"));
    world.create_run("r", "w").await;
    until_told(&world, "ReconcileFailed").await;
    let told = events(&world).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("could not read Workflow default/w")
            && told[0].ends_with("default/w: no disk (InternalError)"),
        "{told:?}"
    );
    let page = telemetry.metrics.encode().unwrap();
    let failures = "relay_operator_reconcile_errors_total{controller=\"run\",reason=\"ApiServer\"}";
    assert!(value(&page, failures) >= 4.0);
}

/// Signs nothing for the runs of one name.
#[derive(Debug)]
struct Flawed(Hs256Key);

#[async_trait]
impl TokenSigner for Flawed {
    async fn sign(&self, claims: &Claims) -> Result<SecretString, TokenError> {
        assert_ne!(claims.run_id.as_deref(), Some("bad"), "a flaw");
        self.0.sign(claims).await
    }
}

#[tokio::test]
async fn a_reconcile_that_panics_stops_no_other() {
    let mut world = World::still();
    let signer = Arc::new(Flawed(Hs256Key::generate()));
    world.context = Arc::new(Context { signer, ..(*world.context).clone() });
    publishing(&mut world);
    let world = world.start();
    world.create_tenant("demo").await;
    world.create_workflow("w", json!([{"name": "a", "image": "i", "input": ["x"]}])).await;
    world.create_run("bad", "w").await;
    until_told(&world, "Run/bad: Warning ReconcileFailed: the reconcile panicked").await;
    world.create_run("good", "w").await;
    world.finish("good", &mut Tekton::new(world.client.clone())).await;
}
