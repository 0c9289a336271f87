//! What the accounts of the installation may do.

use crate::world::{SYSTEM, World, may};

const OPERATOR: &str = "relay-operator";
const METADATA_API: &str = "relay-metadata-api";

#[tokio::test]
#[ignore = "needs the API server of $KUBECONFIG"]
async fn no_more_than_is_needed() {
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
    world.tenant(serde_json::json!({})).await;
    world.tenant_is_ready().await;
    let granted = || may(OPERATOR, "create", "configmaps", &elsewhere);
    crate::process::until("the role is in force", || granted().then_some(()));
    assert!(may(OPERATOR, "list", "secrets", &elsewhere), "those of the tenant");
    assert!(!may(OPERATOR, "create", "secrets", &elsewhere));
}
