//! Events on objects, as `kubectl describe` shows them.

use std::future::Future;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt as _};
use relay_model::v1beta1::{Condition, ConditionStatus, RunStatus, TenantStatus};
use tokio::sync::mpsc;
use tracing::debug;

use crate::context::FIELD_MANAGER;

/// How many Events may wait to be published. More are lost: work does not wait for them.
const BACKLOG: usize = 256;
/// What an API server takes of a note, in bytes.
const MAX_NOTE: usize = 1024;

/// Where Events go. The default one forgets them.
#[derive(Clone, Debug, Default)]
pub struct Events(Option<mpsc::Sender<(Event, ObjectReference)>>);

/// Something to tell of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) type_: EventType,
    pub(crate) reason: String,
    pub(crate) note: String,
}

impl Events {
    /// Events in the name of this instance, and the work of publishing them, which goes on until
    /// all copies of the first are gone. What is told of an object again counts up the Event that
    /// is there.
    pub fn new(client: Client, instance: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, mut told) = mpsc::channel::<(Event, ObjectReference)>(BACKLOG);
        let controller = FIELD_MANAGER.to_owned();
        let reporter = Reporter { controller, instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let publish = async move {
            while let Some((event, object)) = told.recv().await {
                if let Err(error) = recorder.publish(&event, &object).await {
                    debug!(reason = event.reason, %error, "an Event was not published");
                }
            }
        };
        (Self(Some(sender)), publish)
    }

    pub(crate) fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, news: News) {
        let Some(sender) = &self.0 else { return };
        let mut note = news.note;
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event {
            type_: news.type_,
            reason: news.reason,
            note: (!note.is_empty()).then_some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        // The version would make each Event one of its own.
        let reference = ObjectReference { resource_version: None, ..object.object_ref(&()) };
        if sender.try_send((event, reference)).is_err() {
            debug!(object = object.name_any(), "an Event was lost: too many wait");
        }
    }
}

/// What a change of a run is worth telling: its end, and what it begins to wait for.
pub(crate) fn of_run(before: Option<&RunStatus>, after: &RunStatus) -> Option<News> {
    if before.is_some_and(RunStatus::is_completed) {
        return None;
    }
    let text = |condition: Option<&Condition>| {
        let condition = condition?;
        Some((condition.reason.clone()?, condition.message.clone().unwrap_or_default()))
    };
    let completed = after.condition("Completed");
    if !after.is_completed() {
        let (reason, note) = text(completed)?;
        let known = before.and_then(|before| before.condition("Completed"));
        if known.and_then(|known| known.reason.as_ref()) == Some(&reason) {
            return None;
        }
        // A run that has started waits for a person; one that has not, for something missing.
        let started = after.start_time.is_some();
        let type_ = if started { EventType::Normal } else { EventType::Warning };
        return Some(News { type_, reason, note });
    }
    let succeeded = after.condition("Succeeded");
    let note = text(succeeded).map(|(reason, message)| match message.as_str() {
        "" => reason,
        _ => format!("{reason}: {message}"),
    });
    let (type_, reason) = if after.condition("Cancelled").is_some_and(Condition::is_true) {
        (EventType::Normal, "Cancelled")
    } else if succeeded.is_some_and(Condition::is_true) {
        (EventType::Normal, "Succeeded")
    } else {
        (EventType::Warning, "Failed")
    };
    Some(News { type_, reason: reason.to_owned(), note: note.unwrap_or_default() })
}

/// What a change of a tenant is worth telling: that it is ready, or what is wrong.
pub(crate) fn of_tenant(before: Option<&TenantStatus>, after: &TenantStatus) -> Option<News> {
    let ready = Condition::find(&after.conditions, "Ready")?;
    // What is wrong stands in the condition of the part.
    let wrong = after.conditions.iter().find(|condition| condition.status != ConditionStatus::True);
    let told = wrong.unwrap_or(ready);
    let known = before.and_then(|before| Condition::find(&before.conditions, &told.kind));
    if known.is_some_and(|known| known.status == told.status && known.reason == told.reason) {
        return None;
    }
    let type_ = if wrong.is_some() { EventType::Warning } else { EventType::Normal };
    Some(News {
        type_,
        reason: told.reason.clone().unwrap_or_else(|| told.kind.clone()),
        note: told.message.clone().unwrap_or_default(),
    })
}
