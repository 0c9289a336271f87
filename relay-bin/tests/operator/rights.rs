//! What the accounts of the installation may do.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use relay_model::v1beta1::{Condition, Tenant};
use serde_json::json;

use crate::world::{SYSTEM, World, eventually, install_admission, may};

const OPERATOR: &str = "relay-operator";
const METADATA_API: &str = "relay-metadata-api";
const CONFIGURATIONS: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn no_more_than_is_needed() {
    install_admission();
    let world = World::new().await;
    let elsewhere = ["-n", &world.namespace];
    let own = ["-n", SYSTEM];
    let everywhere = ["-A"];
    for (account, verb, resource, place, allowed) in [
        (OPERATOR, "watch", "runs.relay.sh", &everywhere[..], true),
        (OPERATOR, "create", "runs.relay.sh", &elsewhere[..], false),
        (OPERATOR, "delete", "runs.relay.sh", &elsewhere, false),
        (OPERATOR, "patch", "workflows.relay.sh", &elsewhere, false),
        (OPERATOR, "list", "secrets", &everywhere, false),
        (OPERATOR, "watch", "secrets", &everywhere, false),
        (OPERATOR, "get", "secrets", &elsewhere, false),
        (OPERATOR, "list", "secrets", &own, false),
        (OPERATOR, "get", "secrets/relay-signing-keys", &own, true),
        (OPERATOR, "get", "secrets/other", &own, false),
        (OPERATOR, "create", "configmaps", &elsewhere, false),
        (OPERATOR, "create", "pipelineruns.tekton.dev", &elsewhere, false),
        (OPERATOR, "create", "rolebindings", &elsewhere, true),
        (OPERATOR, "create", "roles", &elsewhere, false),
        (OPERATOR, "bind", "clusterroles/relay-operator-tenant", &everywhere, true),
        (OPERATOR, "bind", "clusterroles/cluster-admin", &everywhere, false),
        (OPERATOR, "escalate", "clusterroles", &everywhere, false),
        (OPERATOR, "create", "pods", &elsewhere, false),
        (OPERATOR, "watch", "secrets/relay-operator-webhook", &own, true),
        (OPERATOR, "update", "secrets/relay-operator-webhook", &own, true),
        (OPERATOR, "delete", "secrets/relay-operator-webhook", &own, false),
        (OPERATOR, "get", "secrets/relay-operator-webhook", &elsewhere, false),
        (OPERATOR, "patch", &format!("{CONFIGURATIONS}/relay-operator"), &everywhere, true),
        (OPERATOR, "delete", &format!("{CONFIGURATIONS}/relay-operator"), &everywhere, false),
        (OPERATOR, "patch", &format!("{CONFIGURATIONS}/other"), &everywhere, false),
        (OPERATOR, "create", CONFIGURATIONS, &everywhere, false),
        (METADATA_API, "get", "secrets/relay-operator-webhook", &own, false),
        (OPERATOR, "update", "leases.coordination.k8s.io", &own, true),
        (OPERATOR, "update", "leases.coordination.k8s.io", &elsewhere, false),
        (METADATA_API, "watch", "pods", &everywhere, true),
        (METADATA_API, "get", "secrets/relay-signing-keys", &own, false),
        (METADATA_API, "list", "secrets", &elsewhere, false),
        (METADATA_API, "patch", "configmaps", &elsewhere, false),
        (METADATA_API, "patch", "pods", &elsewhere, false),
    ] {
        assert_eq!(
            may(account, verb, resource, place),
            allowed,
            "{account} {verb} {resource} {place:?}"
        );
    }
    // It binds itself what it needs where a tenant's runs are.
    let operator = world.operator();
    operator.says("this replica leads");
    world.tenant(json!({})).await;
    world.tenant_is_ready().await;
    let granted = || may(OPERATOR, "create", "configmaps", &elsewhere);
    crate::process::until("the role is in force", || granted().then_some(()));
    assert!(may(OPERATOR, "list", "secrets", &elsewhere), "those of the tenant");
    assert!(!may(OPERATOR, "create", "secrets", &elsewhere));
}

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn the_secret_of_a_sink_is_watched_with_the_rights_of_its_tenant() {
    let world = World::new().await;
    let _operator = world.operator();
    let key = json!({"name": "sink", "key": "token"});
    let api = json!({"url": "http://sink", "tokenFrom": {"secretKeyRef": key}});
    world.tenant(json!({"triggerEventSink": {"api": api}})).await;
    let tenants: Api<Tenant> = Api::namespaced(world.client.clone(), &world.namespace);
    let ready = async || {
        let status = tenants.get("demo").await.unwrap().status.unwrap_or_default();
        Some(Condition::find(&status.conditions, "Ready")?.is_true())
    };
    let missing = || async { ready().await.filter(|ready| !ready) };
    eventually("the tenant says that its Secret is missing", missing).await;
    let may_watch = || may(OPERATOR, "watch", "secrets", &["-n", &world.namespace]);
    crate::process::until("the tenant's Secrets may be watched", || may_watch().then_some(()));
    // One look that came too early has passed by now, and the watch stands.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let secret = json!({"metadata": {"name": "sink"}, "stringData": {"token": "t"}});
    world.create::<Secret>(Some(&world.namespace), secret).await;
    let created = Instant::now();
    eventually("the tenant is ready", || async { ready().await.filter(|ready| *ready) }).await;
    assert!(created.elapsed() < Duration::from_secs(5), "{:?}", created.elapsed());
}
