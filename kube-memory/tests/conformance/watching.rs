//! Watches.

use crate::cases;
use crate::scene::{Scene, from, refused};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, VersionMatch, WatchEvent,
    WatchParams,
};
use serde_json::json;
use std::pin::pin;
use std::time::Duration;

cases! {
    watches_tell_what_happens,
    watches_begin_after_a_version,
    watches_without_a_version_begin_with_what_is_there,
    watches_from_a_current_version_are_quiet,
    watches_end_in_time,
    watches_follow_labels,
    watches_follow_fields,
    watches_follow_one_namespace,
    streaming_lists_end_with_a_bookmark,
    streaming_lists_need_a_match,
    watches_of_deleted_objects_carry_the_last_state,
    watches_skip_writes_without_change,
    watches_of_metadata_alone,
    watches_of_a_version_that_is_none_are_refused,
}

async fn make(api: &Api<ConfigMap>, name: &str, label: &str) -> ConfigMap {
    let object = from(json!({ "metadata": { "name": name, "labels": { "case": label } } }));
    api.create(&PostParams::default(), &object).await.unwrap()
}

async fn now(api: &Api<ConfigMap>) -> String {
    api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap()
}

/// Waits until reads of any version see this object: a server answers those from a cache, which
/// may be behind its writes.
async fn seen_by_all(api: &Api<ConfigMap>, object: &ConfigMap) {
    let version = object.resource_version().unwrap();
    let params = ListParams::default().at(&version).matching(VersionMatch::NotOlderThan);
    let list = api.list(&params).await.unwrap();
    assert!(list.iter().any(|other| other.name_any() == object.name_any()));
}

/// Only objects of the case, for as long as it may take.
fn params() -> WatchParams {
    WatchParams::default().labels("case").timeout(20)
}

/// The next events, in short.
async fn next<S>(stream: &mut S, count: usize) -> String
where
    S: Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Unpin,
{
    let mut seen = Vec::new();
    while seen.len() < count {
        let event = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
        seen.push(match event.expect("an event in time").expect("an open stream").unwrap() {
            WatchEvent::Added(object) => format!("+{}", object.name_any()),
            WatchEvent::Modified(object) => format!("~{}", object.name_any()),
            WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
            WatchEvent::Bookmark(bookmark) if bookmark.metadata.annotations.is_empty() => continue,
            WatchEvent::Bookmark(bookmark) => {
                assert_eq!(bookmark.metadata.annotations["k8s.io/initial-events-end"], "true");
                assert_eq!(bookmark.types.kind, "ConfigMap");
                "end".to_owned()
            }
            WatchEvent::Error(status) => format!("!{}", status.code),
        });
    }
    seen.join(" ")
}

async fn relabel(api: &Api<ConfigMap>, name: &str, label: Option<&str>) {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "case": label } } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn watches_tell_what_happens(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let mut stream = pin!(api.watch(&params(), &now(&api).await).await.unwrap());
    make(&api, "a", "1").await;
    relabel(&api, "a", Some("2")).await;
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut stream, 3).await, "+a ~a -a");
}

async fn watches_begin_after_a_version(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", "1").await;
    let version = make(&api, "b", "1").await.resource_version().unwrap();
    make(&api, "c", "1").await;
    let mut stream = pin!(api.watch(&params(), &version).await.unwrap());
    assert_eq!(next(&mut stream, 1).await, "+c");
}

async fn watches_without_a_version_begin_with_what_is_there(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", "1").await;
    seen_by_all(&api, &make(&api, "b", "1").await).await;
    let mut stream = pin!(api.watch(&params(), "0").await.unwrap());
    let first = next(&mut stream, 3).await;
    assert!(first == "+a +b end" || first == "+b +a end", "{first}");
    make(&api, "c", "1").await;
    assert_eq!(next(&mut stream, 1).await, "+c");
}

async fn watches_from_a_current_version_are_quiet(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    make(&api, "a", "1").await;
    let params = params().timeout(1).disable_bookmarks();
    let stream = api.watch(&params, &now(&api).await).await.unwrap();
    assert_eq!(stream.count().await, 0);
}

async fn watches_end_in_time(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let version = now(&api).await;
    let stream = api.watch(&params().timeout(1), &version).await.unwrap();
    let events = tokio::time::timeout(Duration::from_secs(5), stream.collect::<Vec<_>>()).await;
    for event in events.expect("an end in time") {
        assert!(matches!(event, Ok(WatchEvent::Bookmark(_))));
    }
}

async fn watches_follow_labels(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let params = WatchParams::default().labels("case=x").timeout(20);
    let mut stream = pin!(api.watch(&params, &now(&api).await).await.unwrap());
    make(&api, "a", "y").await;
    relabel(&api, "a", Some("x")).await;
    relabel(&api, "a", None).await;
    make(&api, "b", "x").await;
    assert_eq!(next(&mut stream, 3).await, "+a -a +b");
}

async fn watches_follow_fields(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let params = WatchParams::default().fields("metadata.name=b").timeout(20);
    let mut stream = pin!(api.watch(&params, &now(&api).await).await.unwrap());
    make(&api, "a", "1").await;
    make(&api, "b", "1").await;
    relabel(&api, "a", None).await;
    relabel(&api, "b", None).await;
    assert_eq!(next(&mut stream, 2).await, "+b ~b");
}

async fn watches_follow_one_namespace(scene: Scene) {
    let other = Scene::new(scene.client.clone()).await;
    let (here, there) = (scene.api::<ConfigMap>(), other.api::<ConfigMap>());
    let version = now(&here).await;
    let all: Api<ConfigMap> = Api::all(scene.client.clone());
    let mut one = pin!(here.watch(&params(), &version).await.unwrap());
    let mut both = pin!(all.watch(&params(), &version).await.unwrap());
    // Other cases may be at work beside this one, and this one in other suites.
    let [inside, outside] = [&scene, &other].map(|scene| format!("in-{}", scene.namespace));
    make(&there, &outside, "1").await;
    make(&here, &inside, "1").await;
    assert_eq!(next(&mut one, 1).await, format!("+{inside}"));
    let mut seen = Vec::new();
    while seen.last() != Some(&format!("+{inside}")) {
        seen.push(next(&mut both, 1).await);
    }
    assert!(seen.contains(&format!("+{outside}")));
}

async fn streaming_lists_end_with_a_bookmark(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    for index in 0..99 {
        make(&api, &format!("a{index}"), "1").await;
    }
    seen_by_all(&api, &make(&api, "a99", "1").await).await;
    let params = params().initial_events();
    let mut stream = pin!(api.watch(&params, "0").await.unwrap());
    let first = next(&mut stream, 101).await;
    assert!(first.ends_with(" end") && first.matches('+').count() == 100);
    make(&api, "b", "1").await;
    assert_eq!(next(&mut stream, 1).await, "+b");
}

async fn streaming_lists_need_a_match(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let path = format!("{}?watch=true&sendInitialEvents=true", api.resource_url());
    let answer = scene.send("GET", &path, serde_json::Value::Null).await;
    let status = answer.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        status.message,
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    );
}

async fn watches_of_deleted_objects_carry_the_last_state(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = make(&api, "a", "1").await;
    let version = made.resource_version().unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut stream = pin!(api.watch(&params(), &version).await.unwrap());
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Deleted(object) => {
            assert_eq!(object.uid(), made.uid());
            assert_eq!(object.labels(), made.labels());
            let (old, new): (u64, u64) =
                (version.parse().unwrap(), object.resource_version().unwrap().parse().unwrap());
            assert!(new > old);
        }
        other => panic!("{other:?}"),
    }
}

async fn watches_skip_writes_without_change(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let made = make(&api, "a", "1").await;
    let version = made.resource_version().unwrap();
    api.replace("a", &PostParams::default(), &made).await.unwrap();
    relabel(&api, "a", Some("1")).await;
    make(&api, "b", "1").await;
    let mut stream = pin!(api.watch(&params(), &version).await.unwrap());
    assert_eq!(next(&mut stream, 1).await, "+b");
}

async fn watches_of_metadata_alone(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let version = now(&api).await;
    let mut stream = pin!(api.watch_metadata(&params(), &version).await.unwrap());
    make(&api, "a", "1").await;
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Added(object) => {
            assert_eq!(object.metadata.name.as_deref(), Some("a"));
            assert_eq!(object.types.unwrap().kind, "PartialObjectMetadata");
        }
        other => panic!("{other:?}"),
    }
}

async fn watches_of_a_version_that_is_none_are_refused(scene: Scene) {
    let api = scene.api::<ConfigMap>();
    let watch = api.watch(&params(), "bogus").await;
    let message = "resourceVersion: Invalid value: \"bogus\": strconv.ParseUint: parsing \
                   \"bogus\": invalid syntax";
    refused(watch.map(drop), 500, "", message);
}
