use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_memory::MemoryCluster;
use relay_core::{
    Action, ConditionOutcome, Decorator, Definition as _, Journal as _, Message, MessageSource,
    ProcessState, StepStatus, StoreError, Value, WhenCondition,
};
use relay_store::{ConfigMapDefinition, ConfigMapJournal, ConfigMaps, StepRecord, key};
use serde_json::json;
use tower::Service as _;

async fn map(client: &Client, name: &str, data: &[(String, &str)]) {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(k, v)| (k.clone(), (*v).to_owned())).collect()),
        ..ConfigMap::default()
    };
    api.create(&PostParams::default(), &map).await.unwrap();
}

async fn data(client: &Client, name: &str) -> BTreeMap<String, String> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    api.get(name).await.unwrap().data.unwrap_or_default()
}

fn step(name: &str) -> Action {
    Action::step("r".parse().unwrap(), name.parse().unwrap())
}

fn journal(client: &Client, name: &str) -> ConfigMapJournal {
    ConfigMapJournal::new(client.clone(), "default", "r-mutable", step(name))
}

#[tokio::test]
async fn definitions_are_shared_by_requests_that_come_together() {
    let cluster = MemoryCluster::new();
    let client = cluster.client("default");
    let maps = ConfigMaps::by_name(client.clone());
    let action = step("a");
    let spec = || async {
        let definition = maps.definition("default", "r-immutable", action.clone());
        definition.spec().await.unwrap().map(|spec| spec.source().to_json())
    };
    assert_eq!(spec().await, None);
    map(&client, "r-immutable", &[(key::spec(&action), "1")]).await;
    let before = cluster.request_count();
    for _ in 0..10 {
        assert_eq!(spec().await.as_deref(), Some("1"), "that there is none was not kept");
    }
    assert_eq!(cluster.request_count() - before, 1);
}

#[tokio::test]
async fn a_definition_is_read() {
    let client = MemoryCluster::new().client("default");
    let action = step("a");
    let entries = [
        (key::spec(&action), r#"{"x":"${parameters.p}"}"#),
        (key::environment(&action), "{}"),
        (key::parameter("p").unwrap(), r#"{"$encoding":"base64","data":"/w=="}"#),
        (key::parameter("my param").unwrap(), "9007199254740993"),
        (key::WORKFLOW.to_owned(), "{}"),
    ];
    map(&client, "r-immutable", &entries).await;
    let definition = ConfigMapDefinition::new(client, "default", "r-immutable", action);
    let spec = definition.spec().await.unwrap().unwrap();
    assert_eq!(spec.source().to_json(), r#"{"x":"${parameters.p}"}"#);
    assert!(definition.conditions().await.unwrap().is_none());
    let p = definition.parameter("p").await.unwrap();
    assert_eq!(p, Some(Value::from_bytes(&[0xff])), "bytes survive");
    let parameters = definition.parameters().await.unwrap();
    let names: Vec<_> = parameters.keys().map(|name| &**name).collect();
    assert_eq!(names, ["my param", "p"]);
    assert_eq!(parameters["my param"].to_json(), "9007199254740993", "integers stay exact");
}

#[tokio::test]
async fn what_a_step_writes_can_be_read() {
    let client = MemoryCluster::new().client("default");
    map(&client, "r-mutable", &[]).await;
    let now: Timestamp = "2031-02-03T04:05:06.5Z".parse().unwrap();
    let a = journal(&client, "a");
    a.set_output("plain", 5.into()).await.unwrap();
    a.set_output("odd / näme", "x".into()).await.unwrap();
    a.set_output_sensitive("plain", true).await.unwrap();
    let status = StepStatus {
        process: Some(ProcessState { exit_code: 3, timestamp: now }),
        when: Some(WhenCondition { outcome: ConditionOutcome::Satisfied, timestamp: now }),
    };
    a.set_status(status.clone()).await.unwrap();
    let message = Message::new(MessageSource::Log, now, "something");
    a.add_message(message.clone()).await.unwrap();
    let link = Decorator::Link { description: "d".to_owned(), uri: "http://u".to_owned() };
    a.set_decorator("report", link.clone()).await.unwrap();

    let b = journal(&client, "b");
    let name = "a".parse().unwrap();
    assert_eq!(b.output(&name, "plain").await.unwrap().unwrap().sensitive, Some(true));
    assert_eq!(b.output(&name, "odd / näme").await.unwrap().unwrap().value, Value::from("x"));
    assert!(b.output(&name, "none").await.unwrap().is_none());
    assert_eq!(b.status(&name).await.unwrap(), Some(status.clone()));
    assert_eq!(b.outputs().await.unwrap()[&name].len(), 2);
    assert!(b.status(&"b".parse().unwrap()).await.unwrap().is_none());

    let record = StepRecord::read(&data(&client, "r-mutable").await, &step("a"));
    assert_eq!(record.status, Some(status));
    assert_eq!(record.messages, [message]);
    assert_eq!(record.decorators["report"], link);
}

#[tokio::test]
async fn the_form_of_entries_is_that_of_the_wire() {
    let client = MemoryCluster::new().client("default");
    map(&client, "r-mutable", &[]).await;
    let now: Timestamp = "2031-02-03T04:05:06Z".parse().unwrap();
    let a = journal(&client, "a");
    let when = Some(WhenCondition { outcome: ConditionOutcome::NotSatisfied, timestamp: now });
    a.set_status(StepStatus { process: None, when }).await.unwrap();
    a.set_output("o", "v".into()).await.unwrap();
    a.set_output_sensitive("o", false).await.unwrap();
    let data = data(&client, "r-mutable").await;
    let prefix = key::prefix(&step("a"));
    let entries: Vec<_> =
        data.iter().map(|(k, v)| (k.strip_prefix(&prefix).unwrap(), v.as_str())).collect();
    assert_eq!(
        entries,
        [
            ("metadata.output.o", r#"{"Sensitive":false}"#),
            ("name", r#""a""#),
            ("output.o", r#""v""#),
            (
                "status",
                r#"{"Name":"a","ProcessState":null,"WhenCondition":{"Timestamp":"2031-02-03T04:05:06Z","WhenConditionStatus":"WhenConditionNotSatisfied"}}"#
            ),
        ]
    );
}

#[tokio::test]
async fn concurrent_writers_lose_nothing() {
    let client = MemoryCluster::new().client("default");
    map(&client, "r-mutable", &[]).await;
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..50 {
        let journal = journal(&client, &format!("s{}", index % 5));
        writers.spawn(async move { journal.set_output(&format!("o{index}"), index.into()).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
    }
    let outputs = journal(&client, "s0").outputs().await.unwrap();
    assert_eq!(outputs.values().map(BTreeMap::len).sum::<usize>(), 50);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    let client = MemoryCluster::new().client("default");
    map(&client, "r-mutable", &[]).await;
    let a = journal(&client, "a");
    let large = a.set_output("o", "x".repeat(2 << 20).into()).await;
    assert!(matches!(large, Err(StoreError::TooLarge { .. })), "{large:?}");
    // Two that fit alone and not together.
    a.set_output("one", "x".repeat(700 << 10).into()).await.unwrap();
    let second = a.set_output("two", "x".repeat(700 << 10).into()).await;
    assert!(matches!(second, Err(StoreError::TooLarge { .. })), "{second:?}");
    // There is room left for what the step reports of itself.
    a.set_status(StepStatus::default()).await.unwrap();
    let long = a.set_output(&"n".repeat(300), 1.into()).await;
    assert!(matches!(long, Err(StoreError::Refused { .. })), "{long:?}");
    // The longest names leave no room for what is said of an output.
    let (fits, long) = ("n".repeat(190), "n".repeat(195));
    a.set_output(&fits, 1.into()).await.unwrap();
    assert!(a.output(&"a".parse().unwrap(), &fits).await.unwrap().is_some());
    let long_output = a.set_output(&long, 1.into()).await;
    assert!(matches!(long_output, Err(StoreError::Refused { .. })), "{long_output:?}");
    // One that somebody else wrote is read all the same.
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let entry = json!({"data": {(key::output(&step("a"), &long).unwrap()): "1"}});
    api.patch("r-mutable", &PatchParams::default(), &Patch::Merge(entry)).await.unwrap();
    let found = journal(&client, "b").output(&"a".parse().unwrap(), &long).await.unwrap();
    assert_eq!(found.unwrap().value, 1.into());
}

#[tokio::test]
async fn a_map_that_nobody_made_is_made_by_its_first_writer() {
    let client = MemoryCluster::new().client("default");
    let maps = ConfigMaps::by_name(client.clone());
    let writers = (0..10).map(|index| {
        let journal = maps.journal("default", "r-mutable", step("a"));
        async move { journal.set_output(&format!("o{index}"), index.into()).await }
    });
    futures::future::try_join_all(writers).await.unwrap();
    assert_eq!(data(&client, "r-mutable").await.len(), 11, "ten outputs and the step's name");
}

/// API servers refuse writes that meet: those of one process to one map wait for each other, and not
/// for those to another.
#[tokio::test]
async fn writers_of_one_map_take_turns() {
    let cluster = MemoryCluster::new();
    let writing = Arc::new(Mutex::new((BTreeMap::<String, usize>::new(), 0, 0)));
    let service = tower::service_fn({
        let (cluster, writing) = (cluster.clone(), Arc::clone(&writing));
        move |request: Request<kube::client::Body>| {
            let (mut cluster, writing) = (cluster.clone(), Arc::clone(&writing));
            async move {
                let path = request.uri().path().to_owned();
                let writes = request.method() == Method::PATCH;
                if writes {
                    let mut writing = writing.lock().unwrap();
                    let (at_path, most, most_in_all) = &mut *writing;
                    *at_path.entry(path.clone()).or_default() += 1;
                    *most = (*most).max(at_path[&path]);
                    *most_in_all = (*most_in_all).max(at_path.values().sum());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                let answer = cluster.call(request).await;
                if writes {
                    *writing.lock().unwrap().0.entry(path).or_default() -= 1;
                }
                answer
            }
        }
    });
    let maps = ConfigMaps::watched(Client::new(service, "default"));
    for name in ["r-mutable", "s-mutable"] {
        map(&cluster.client("default"), name, &[]).await;
    }
    let writers = (0..20).map(|index| {
        let name = if index % 2 == 0 { "r-mutable" } else { "s-mutable" };
        let journal = maps.journal("default", name, step("a"));
        async move { journal.set_output(&format!("o{index}"), index.into()).await }
    });
    futures::future::try_join_all(writers).await.unwrap();
    let (_, most, most_in_all) = *writing.lock().unwrap();
    assert_eq!((most, most_in_all), (1, 2));
}

#[test]
fn names_are_as_long_in_keys_as_stores_in_memory_believe() {
    for name in ["", "plain-Name_1.x", "my param", "a/b", "ä", "a_.20b", "_", "__.", "\0"] {
        let key = key::parameter(name).unwrap();
        assert_eq!(key.len(), "parameters.".len() + relay_core::length_in_key(name), "{name:?}");
    }
}
