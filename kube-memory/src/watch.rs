//! Following a resource.
//!
//! A watch holds no lock and no queue of its own: it remembers a revision and reads what came
//! after it from the history that all watches share. One that falls behind the history ends
//! with 410, and the client lists again.

use crate::cluster::Shared;
use crate::kind::Kind;
use crate::request::Query;
use crate::status::{Refusal, Result};
use crate::storage::{Change, Event, Object, Resource, Storage};
use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Events that are taken from the history at once.
const BATCH: usize = 64;

/// Quiet time after which a bookmark tells the client how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// One client's view of a resource.
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    resource: Resource,
    kind: Arc<Kind>,
    namespace: Option<String>,
    name: Option<String>,
    query: Query,
    metadata_only: bool,
    /// Everything up to here was sent.
    cursor: u64,
    initial: VecDeque<Arc<Object>>,
    /// The initial events are to be closed with a bookmark.
    announce_end: bool,
    signal: tokio::sync::watch::Receiver<u64>,
    deadline: Option<Instant>,
    next_bookmark: Instant,
    done: bool,
}

/// What a watch is on.
pub(crate) struct Subject {
    pub(crate) resource: Resource,
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) metadata_only: bool,
}

impl Watcher {
    /// Begins a watch at the revision of the query.
    pub(crate) fn begin(
        shared: Arc<Shared>,
        storage: &mut Storage,
        subject: Subject,
        query: Query,
    ) -> Result<Self> {
        let now = storage.revision;
        let asked = query.revision.unwrap_or_default();
        // Without a version, or with "any", a watch begins with what is there.
        let streaming_list =
            query.initial_events.unwrap_or(asked == 0 && !query.not_older && !query.exact);
        if query.initial_events.is_some() && !query.not_older {
            return Err(Refusal::new(
                422,
                "Invalid",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                 sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        let mut watcher = Self {
            signal: storage.table(&subject.resource).subscribe(),
            resource: subject.resource,
            kind: subject.kind,
            namespace: subject.namespace,
            name: subject.name,
            metadata_only: subject.metadata_only,
            cursor: now,
            initial: VecDeque::new(),
            announce_end: streaming_list && query.bookmarks,
            deadline: query
                .timeout_seconds
                .map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            next_bookmark: Instant::now() + BOOKMARK_EVERY,
            done: false,
            query,
            shared,
        };
        if streaming_list {
            let namespace = watcher.namespace.as_deref();
            let objects = storage.list(&watcher.resource, namespace);
            watcher.initial = objects.filter(|object| watcher.sees(object)).cloned().collect();
        } else if asked != 0 {
            let compacted = storage.table(&watcher.resource).compacted;
            if asked < compacted {
                return Err(Refusal::expired(asked, compacted));
            }
            watcher.cursor = asked;
        }
        Ok(watcher)
    }

    /// The watch as a stream of pieces of the response.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold(self, |mut watcher| async move {
            let piece = watcher.next().await?;
            Some((piece, watcher))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.done {
                return None;
            }
            let mut out = Vec::new();
            if !self.initial.is_empty() {
                for object in self.initial.drain(..self.initial.len().min(BATCH)) {
                    write_event(&self.kind, self.metadata_only, "ADDED", &object, &mut out);
                }
                return Some(out.into());
            }
            if std::mem::take(&mut self.announce_end) {
                self.write_bookmark(true, &mut out);
                return Some(out.into());
            }
            // Seen before the history is read, so that no change falls in between.
            self.signal.borrow_and_update();
            match self.read_history() {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    for event in events {
                        self.write_change(&event, &mut out);
                    }
                    if !out.is_empty() {
                        self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                        return Some(out.into());
                    }
                    continue;
                }
                Err(refusal) => {
                    self.done = true;
                    return Some(error_event(&refusal));
                }
            }
            if self.wait().await {
                continue;
            }
            let expired = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            self.done = expired;
            self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
            if self.query.bookmarks {
                self.write_bookmark(false, &mut out);
                return Some(out.into());
            }
        }
    }

    /// Waits for a change. Answers false once it is time for something else.
    async fn wait(&mut self) -> bool {
        let mut until = self.query.bookmarks.then_some(self.next_bookmark);
        until = match (until, self.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(until) = until else {
            if self.signal.changed().await.is_err() {
                self.done = true;
            }
            return true;
        };
        tokio::select! {
            changed = self.signal.changed() => {
                if changed.is_err() {
                    self.done = true;
                }
                true
            }
            () = tokio::time::sleep_until(until) => false,
        }
    }

    fn read_history(&mut self) -> Result<Vec<Event>> {
        let mut storage = self.shared.storage();
        let current = storage.revision;
        let table = storage.table(&self.resource);
        if self.cursor < table.compacted {
            return Err(Refusal::expired(self.cursor, table.compacted));
        }
        let events = table.since(self.cursor, BATCH);
        self.cursor = match events.last() {
            Some(last) => last.object.revision,
            // Nothing happened to this resource, so the cursor may follow the cluster.
            None => self.cursor.max(current),
        };
        Ok(events)
    }

    fn sees(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| object.key.namespace == namespace)
            && self.name.as_deref().is_none_or(|name| object.key.name == name)
            && self.query.selects(object)
    }

    /// A change as this watch sees it: objects come and go as the selectors let them through.
    fn write_change(&self, event: &Event, out: &mut Vec<u8>) {
        let before = event.previous.as_ref().is_some_and(|object| self.sees(object));
        let after = event.change != Change::Deleted && self.sees(&event.object);
        let word = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        write_event(&self.kind, self.metadata_only, word, &event.object, out);
    }

    fn write_bookmark(&self, initial_end: bool, out: &mut Vec<u8>) {
        let mut metadata = json!({ "resourceVersion": self.cursor.to_string() });
        if let Some(map) = metadata.as_object_mut() {
            map.insert("creationTimestamp".into(), serde_json::Value::Null);
            if initial_end {
                map.insert("annotations".into(), json!({ "k8s.io/initial-events-end": "true" }));
            }
        }
        let bookmark = json!({
            "type": "BOOKMARK",
            "object": {
                "apiVersion": self.kind.api_version(),
                "kind": self.kind.kind,
                "metadata": metadata,
            },
        });
        out.extend_from_slice(format!("{bookmark}\n").as_bytes());
    }
}

/// The event that ends a watch with a refusal.
pub(crate) fn error_event(refusal: &Refusal) -> Bytes {
    let event = json!({ "type": "ERROR", "object": refusal.to_value() });
    format!("{event}\n").into()
}

fn write_event(kind: &Kind, metadata_only: bool, word: &str, object: &Object, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    if metadata_only {
        object.write_metadata(out);
    } else {
        object.write(kind, out);
    }
    out.extend_from_slice(b"}\n");
}
