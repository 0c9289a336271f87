use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{LimitRange, Namespace, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use kube_memory::{Fault, Verb};
use relay_model::v1beta1::{Condition, Tenant};
use relay_reconcile::Context;
use serde_json::json;

use crate::world::World;

async fn create(world: &World, spec: serde_json::Value) -> Api<Tenant> {
    let api: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let tenant = Tenant::new("t", serde_json::from_value(spec).unwrap());
    api.create(&PostParams::default(), &tenant).await.unwrap();
    api
}

async fn reason(api: &Api<Tenant>, kind: &str, wanted: &str) -> Tenant {
    for _ in 0..1_000 {
        let tenant = api.get("t").await.unwrap();
        let conditions = tenant.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let condition = Condition::find(&conditions, kind);
        if condition.and_then(|condition| condition.reason.as_deref()) == Some(wanted) {
            return tenant;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{kind} never became {wanted}: {:?}", api.get("t").await.unwrap().status);
}

#[tokio::test]
async fn conditions() {
    let named = |name: &str| json!({"namespaceTemplate": {"metadata": {"name": name}}});
    let sink = |api: serde_json::Value| json!({"triggerEventSink": {"api": api}});
    for (name, spec, kind, expected) in [
        ("unmanaged", json!({}), "Ready", "Ready"),
        ("managed", named("acme"), "NamespaceReady", "NamespaceReady"),
        ("a namespace of somebody else", named("taken"), "NamespaceReady", "NamespaceConflict"),
        ("default", named("default"), "NamespaceReady", "NamespaceReserved"),
        ("of the system", named("kube-system"), "NamespaceReady", "NamespaceReserved"),
        ("no sink", json!({}), "EventSinkReady", "EventSinkMissing"),
        ("no URL", sink(json!({"url": ""})), "EventSinkReady", "EventSinkNotConfigured"),
        ("no token", sink(json!({"url": "http://s"})), "EventSinkReady", "EventSinkNotConfigured"),
        (
            "a token",
            sink(json!({"url": "http://s", "token": "t"})),
            "EventSinkReady",
            "EventSinkReady",
        ),
        (
            "a token in a Secret",
            sink(
                json!({"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
            ),
            "EventSinkReady",
            "EventSinkReady",
        ),
        (
            "a Secret that was made for something else",
            sink(
                json!({"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "tls", "key": "k"}}}),
            ),
            "EventSinkReady",
            "EventSinkNotConfigured",
        ),
        ("no other sink", json!({}), "WorkflowExecutionSinkReady", "WorkflowExecutionSinkMissing"),
        (
            "no token for runs",
            json!({"workflowExecutionSink": {"api": {"url": "http://s"}}}),
            "WorkflowExecutionSinkReady",
            "WorkflowExecutionSinkNotConfigured",
        ),
        (
            "a role binding of somebody else",
            json!({"namespaceTemplate": {"metadata": {"name": "acme"}}, "toolInjection": {}}),
            "NamespaceReady",
            "NamespaceConflict",
        ),
        (
            "a missing key",
            sink(
                json!({"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "s", "key": "x"}}}),
            ),
            "EventSinkReady",
            "EventSinkNotConfigured",
        ),
    ] {
        let world = World::running();
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        let taken: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "taken"}})).unwrap();
        namespaces.create(&PostParams::default(), &taken).await.unwrap();
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "t"}});
        world.create_secret("default", secret).await;
        let tls =
            json!({"metadata": {"name": "tls"}, "type": "example.com/t", "stringData": {"k": "t"}});
        world.create_secret("default", tls).await;
        if name.starts_with("a role binding") {
            let bindings: Api<RoleBinding> = Api::default_namespaced(world.client.clone());
            let binding = json!({
                "metadata": {"name": "t-secrets"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
            });
            let binding = serde_json::from_value(binding).unwrap();
            bindings.create(&PostParams::default(), &binding).await.unwrap();
        }
        let api = create(&world, spec).await;
        println!("{name}");
        reason(&api, kind, expected).await;
    }
}

#[tokio::test]
async fn a_managed_namespace_moves_and_goes_with_its_tenant() {
    let world = World::running();
    let template = |name: &str| json!({"namespaceTemplate": {"metadata": {"name": name, "labels": {"team": "a"}}}});
    let api = create(&world, template("one")).await;
    reason(&api, "Ready", "Ready").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let one = namespaces.get("one").await.unwrap();
    assert_eq!(one.labels()["team"], "a");
    assert_eq!(one.labels()["controller.relay.sh/tenant-workload"], "true");
    let gone = async |name: &str| {
        for _ in 0..1_000 {
            if namespaces.get_opt(name).await.unwrap().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{name} is still there");
    };
    let patch = json!({"spec": template("two")});
    api.patch("t", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    gone("one").await;
    for _ in 0..1_000 {
        let status = api.get("t").await.unwrap().status.unwrap_or_default();
        if status.namespace.as_deref() == Some("two") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    api.delete("t", &DeleteParams::default()).await.unwrap();
    gone("two").await;
}

/// Everything of the kinds that tenants are given, without what differs from time to time.
pub(crate) async fn policies(client: &Client) -> Vec<serde_json::Value> {
    async fn all<K>(client: &Client) -> Vec<serde_json::Value>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug,
        K: serde::Serialize + serde::de::DeserializeOwned,
    {
        let listed = Api::<K>::all(client.clone()).list(&ListParams::default()).await.unwrap();
        let objects = listed.items.into_iter().map(|mut object| {
            let metadata = object.meta_mut();
            metadata.uid = None;
            metadata.resource_version = None;
            metadata.creation_timestamp = None;
            metadata.managed_fields = None;
            metadata.generation = None;
            for owner in metadata.owner_references.iter_mut().flatten() {
                owner.uid.clear();
            }
            for link in metadata.annotations.iter_mut().flatten() {
                let mut of: serde_json::Value = serde_json::from_str(link.1).unwrap();
                of["uid"] = json!("");
                *link.1 = of.to_string();
            }
            serde_json::to_value(&object).unwrap()
        });
        objects.collect()
    }
    let mut objects = all::<RoleBinding>(client).await;
    objects.extend(all::<ServiceAccount>(client).await);
    objects.extend(all::<NetworkPolicy>(client).await);
    objects.extend(all::<LimitRange>(client).await);
    objects
}

async fn reconcile_again(world: &World) -> u64 {
    let before = world.cluster.writes();
    let api: Api<Tenant> = Api::default_namespaced(world.client.clone());
    for _ in 0..3 {
        let tenant = api.get("t").await.unwrap().into();
        relay_reconcile::tenant::reconcile(tenant, &world.context).await.unwrap();
    }
    world.cluster.writes() - before
}

#[tokio::test]
async fn what_a_tenant_is_given() {
    for (name, spec) in [
        ("unmanaged", json!({})),
        ("managed", json!({"namespaceTemplate": {"metadata": {"name": "acme"}}})),
    ] {
        let world = World::still();
        create(&world, spec).await;
        reconcile_again(&world).await;
        assert_eq!(reconcile_again(&world).await, 0, "{name}: nothing is written again");
        insta::assert_yaml_snapshot!(name, policies(&world.client).await);
    }
}

#[tokio::test]
async fn a_network_that_is_open_is_open_for_all() {
    for (spec, expected) in
        [(json!({}), 1), (json!({"namespaceTemplate": {"metadata": {"name": "acme"}}}), 2)]
    {
        let mut world = World::still();
        create(&world, spec).await;
        // One that was closed before opens.
        reconcile_again(&world).await;
        let mut context = Context::clone(&world.context);
        context.settings.policies.as_mut().unwrap().network =
            relay_reconcile::tenant::Network::Open;
        world.context = Arc::new(context);
        reconcile_again(&world).await;
        let all = Api::<NetworkPolicy>::all(world.client.clone());
        let all = all.list(&ListParams::default()).await.unwrap().items;
        assert_eq!(all.len(), expected);
        for policy in all {
            let spec = policy.spec.unwrap();
            assert_eq!((spec.ingress.unwrap().len(), spec.egress.unwrap().len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn what_was_changed_is_set_right() {
    let world = World::still();
    create(&world, json!({"namespaceTemplate": {"metadata": {"name": "acme"}}})).await;
    reconcile_again(&world).await;
    let wanted = policies(&world.client).await;
    let merge = |patch| Patch::Merge(patch);
    let params = PatchParams::default();
    let network: Api<NetworkPolicy> = Api::namespaced(world.client.clone(), "acme");
    let open = json!({"spec": {"egress": [{}], "podSelector": {"matchLabels": {"a": "b"}}}});
    network.patch("t", &params, &merge(open)).await.unwrap();
    network.delete("t-runs", &DeleteParams::default()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), "acme");
    let binding = json!({"subjects": [], "metadata": {"labels": null}});
    bindings.patch("t-metadata-api", &params, &merge(binding)).await.unwrap();
    // The role of a binding cannot be changed: it is made again.
    let mut other = bindings.get("t-operator").await.unwrap();
    bindings.delete("t-operator", &DeleteParams::default()).await.unwrap();
    other.metadata.resource_version = None;
    other.role_ref.name = "cluster-admin".to_owned();
    bindings.create(&PostParams::default(), &other).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let label =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    namespaces.patch("acme", &params, &merge(label)).await.unwrap();
    let limits: Api<LimitRange> = Api::namespaced(world.client.clone(), "acme");
    limits.delete("t", &DeleteParams::default()).await.unwrap();

    reconcile_again(&world).await;
    assert_eq!(policies(&world.client).await, wanted);
    let labels = namespaces.get("acme").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");
    assert_eq!(reconcile_again(&world).await, 0);
}

#[tokio::test]
async fn labels_that_a_template_drops_go() {
    let world = World::still();
    let spec = |labels: serde_json::Value| json!({"namespaceTemplate": {"metadata": {"name": "acme", "labels": labels}}});
    let api = create(&world, spec(json!({"team": "a", "old": "x"}))).await;
    reconcile_again(&world).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let params = PatchParams::default();
    let theirs = json!({"metadata": {"labels": {"theirs": "y"}}});
    namespaces
        .patch(
            "acme",
            &PatchParams { field_manager: Some("them".into()), ..params.clone() },
            &Patch::Merge(theirs),
        )
        .await
        .unwrap();
    let spec = json!({"spec": {"namespaceTemplate": {"metadata": {"labels": {"old": null}}}}});
    api.patch("t", &params, &Patch::Merge(spec)).await.unwrap();
    reconcile_again(&world).await;
    let labels = namespaces.get("acme").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["team"], "a");
    assert_eq!(labels["theirs"], "y");
    assert!(!labels.contains_key("old"));
    assert_eq!(reconcile_again(&world).await, 0);
}

#[tokio::test]
async fn two_tenants_share_a_namespace() {
    let world = World::running();
    let api = create(&world, json!({})).await;
    world.create_tenant("other").await;
    reason(&api, "Ready", "Ready").await;
    for _ in 0..1_000 {
        if policies(&world.client).await.len() == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What one was given goes with it, and nothing of the other's.
    api.delete("t", &DeleteParams::default()).await.unwrap();
    for _ in 0..1_000 {
        if api.get_opt("t").await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let names: Vec<_> = policies(&world.client).await;
    let names: Vec<_> =
        names.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["other-metadata-api", "other-operator", "other-secrets", "other-untrusted", "other-runs"]
    );
}

/// Calls the reconciler once, and gives the tenant then.
async fn reconciled(world: &World) -> (Tenant, bool) {
    let api: Api<Tenant> = Api::default_namespaced(world.client.clone());
    let tenant = api.get("t").await.unwrap().into();
    let done = relay_reconcile::tenant::reconcile(tenant, &world.context).await.is_ok();
    (api.get("t").await.unwrap(), done)
}

fn message(tenant: &Tenant, kind: &str) -> String {
    let status = tenant.status.as_ref().unwrap();
    let condition = Condition::find(&status.conditions, kind).unwrap();
    assert_eq!(status.observed_generation, tenant.metadata.generation);
    let (reason, message) =
        (condition.reason.as_ref().unwrap(), condition.message.as_ref().unwrap());
    format!("{:?} {reason} {message}", condition.status)
}

#[tokio::test]
async fn a_namespace_is_given_up_only_for_one_that_is_ready() {
    let world = World::still();
    let template = |name: &str| json!({"namespaceTemplate": {"metadata": {"name": name}}});
    let api = create(&world, template("one")).await;
    reconciled(&world).await;
    world.create_namespace("taken").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    for refused in ["taken", "kube-x", "default"] {
        let patch = json!({"spec": template(refused)});
        api.patch("t", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        for _ in 0..2 {
            let (tenant, _) = reconciled(&world).await;
            assert!(message(&tenant, "NamespaceReady").starts_with("False"), "{refused}");
        }
        assert!(namespaces.get_opt("one").await.unwrap().is_some(), "{refused}");
    }
    // It is, once the other one is free.
    let patch = json!({"spec": template("taken")});
    api.patch("t", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    reconciled(&world).await;
    namespaces.delete("taken", &DeleteParams::default()).await.unwrap();
    let (tenant, _) = reconciled(&world).await;
    assert!(message(&tenant, "NamespaceReady").starts_with("True"));
    assert!(namespaces.get_opt("one").await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_api_server_refuses_is_a_condition_in_plain_words() {
    const NO: &str = "the label is no label";
    let template = json!({"metadata": {"name": "acme", "labels": {"a": "b"}}});
    let sink = json!({"api": {"url": "http://s", "tokenFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}});
    let spec = json!({"namespaceTemplate": template, "triggerEventSink": sink});
    for (name, verb, resource, kind, expected) in [
        (
            "making the namespace",
            Verb::Create,
            "namespaces",
            "NamespaceReady",
            "False NamespaceError The namespace acme: could not create Namespace acme",
        ),
        (
            "changing it",
            Verb::Patch,
            "namespaces",
            "NamespaceReady",
            "False NamespaceError The namespace acme: could not patch Namespace acme",
        ),
        (
            "reading a Secret",
            Verb::Get,
            "secrets",
            "EventSinkReady",
            "False EventSinkNotConfigured The API trigger event sink is missing a token: could not read \
             Secret default/s",
        ),
    ] {
        let mut world = World::still();
        let api = create(&world, spec.clone()).await;
        if verb != Verb::Create {
            reconciled(&world).await;
        }
        let limited = world.cluster.with_faults(move |request| {
            let refused = request.verb == verb && request.resource == resource;
            refused.then(|| Fault::status(422, "Invalid", NO))
        });
        let client = limited.client("default");
        world.context = Arc::new(Context { client, ..Context::clone(&world.context) });
        let labels = json!({"spec": {"namespaceTemplate": {"metadata": {"labels": {"a": "c"}}}}});
        api.patch("t", &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
        let (tenant, _) = reconciled(&world).await;
        assert_eq!(message(&tenant, kind), format!("{expected}: {NO} (Invalid)"), "{name}");
        assert!(message(&tenant, "Ready").starts_with("False"), "{name}");
    }
}

#[tokio::test]
async fn a_template_says_itself_how_safe_its_pods_are() {
    const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
    let world = World::still();
    let labels = json!({ENFORCE: "restricted", "controller.relay.sh/tenant-workload": "no"});
    let template = json!({"metadata": {"name": "acme", "labels": labels}});
    create(&world, json!({ "namespaceTemplate": template })).await;
    reconciled(&world).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let found = namespaces.get("acme").await.unwrap();
    assert_eq!(found.labels()[ENFORCE], "restricted");
    assert_eq!(found.labels()["controller.relay.sh/tenant-workload"], "true");
    assert_eq!(reconcile_again(&world).await, 0);
}
