//! The cluster, as its users hold it.

use crate::fault::{Fault, Faults, RequestInfo};
use crate::request::{Query, Target, Verb};
use crate::storage::Storage;
use crate::verbs::Call;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that the record keeps.
const RECORDED: usize = 16 * 1024;

/// Changes that each resource keeps for watches, unless told otherwise.
const HISTORY: usize = 4096;

/// An in-memory Kubernetes API. Clones share one state.
///
/// It is a [`tower::Service`], so it takes the place of a connection in [`kube::Client::new`];
/// [`client`](Self::client) does just that.
#[derive(Clone)]
pub struct MemoryCluster {
    pub(crate) shared: Arc<Shared>,
    faults: Option<Faults>,
}

/// What all clones and watches share.
pub(crate) struct Shared {
    storage: Mutex<Storage>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    count: u64,
    requests: VecDeque<RequestInfo>,
}

/// A definition that cannot be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct RegisterError(String);

impl MemoryCluster {
    /// A cluster that holds the namespaces `default`, `kube-system`, `kube-public` and
    /// `kube-node-lease`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_history(HISTORY)
    }

    /// A cluster that keeps this many changes of each resource for watches. A watch that falls
    /// further behind ends with 410.
    #[must_use]
    pub fn with_history(changes: usize) -> Self {
        let cluster = Self {
            shared: Arc::new(Shared {
                storage: Mutex::new(Storage::new(changes)),
                record: Mutex::default(),
            }),
            faults: None,
        };
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let namespace = json!({ "metadata": { "name": name } });
            // The four names are valid and new, so nothing can be refused.
            let _ = cluster.bootstrap("", "namespaces", &namespace.to_string());
        }
        cluster
    }

    /// The same cluster, where from now on an object that was created, and not applied, has no
    /// `managedFields` until its first apply, as if its creator had cleared them.
    ///
    /// Keeping account of fields takes much of the time and the space of an update. A program that
    /// has no use for it can do without.
    #[must_use]
    pub fn without_update_managers(self) -> Self {
        self.shared.storage().tracks_updates = false;
        self
    }

    /// The same cluster, where from now on objects may be larger than etcd takes, whose limit is
    /// 1.5 MiB. A program that nobody else's objects come to has no use for it.
    #[must_use]
    pub fn without_size_limit(self) -> Self {
        self.shared.storage().bounds_objects = false;
        self
    }

    /// A handle on the same cluster whose requests meet the faults that `decide` hands out.
    ///
    /// The faults belong to the handle: requests through other clones are not disturbed.
    #[must_use]
    pub fn with_faults<F>(&self, decide: F) -> Self
    where
        F: Fn(&RequestInfo) -> Option<Fault> + Send + Sync + 'static,
    {
        Self { shared: Arc::clone(&self.shared), faults: Some(Arc::new(decide)) }
    }

    /// A client of this cluster. Needs a Tokio runtime.
    #[must_use]
    pub fn client(&self, default_namespace: &str) -> kube::Client {
        kube::Client::new(self.clone(), default_namespace)
    }

    /// Serves the kinds of a definition, as creating it through the API does. A definition that
    /// is there already is left as it is.
    ///
    /// # Errors
    /// The broken rules, where the definition cannot be served.
    pub fn register(&self, definition: &CustomResourceDefinition) -> Result<(), RegisterError> {
        let definition =
            serde_json::to_string(definition).map_err(|error| RegisterError(error.to_string()))?;
        match self.bootstrap("apiextensions.k8s.io", "customresourcedefinitions", &definition) {
            Err(refusal) if refusal.reason != "AlreadyExists" => {
                Err(RegisterError(refusal.message))
            }
            _ => Ok(()),
        }
    }

    /// The number of changes of stored objects so far, those by garbage collection included.
    ///
    /// A write that changes nothing does not count.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.shared.storage().writes
    }

    /// The number of requests on resources so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.shared.record().count
    }

    /// The latest 16384 requests on resources, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestInfo> {
        self.shared.record().requests.iter().cloned().collect()
    }

    /// Forgets all changes so far: watches from before end with 410, as after a compaction.
    pub fn compact(&self) {
        self.shared.storage().compact();
    }

    /// Notes a request, and answers with its record.
    pub(crate) fn record(&self, verb: Verb, target: &Target, query: &Query) -> RequestInfo {
        let mut record = self.shared.record();
        record.count += 1;
        let info = RequestInfo {
            number: record.count,
            verb,
            group: target.group.clone(),
            resource: target.plural.clone(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            subresource: target.subresource.clone(),
            manager: query.manager.clone(),
            dry_run: query.dry_run,
        };
        if record.requests.len() == RECORDED {
            record.requests.pop_front();
        }
        record.requests.push_back(info.clone());
        info
    }

    /// The fault that this request is to meet.
    pub(crate) fn fault(&self, info: &RequestInfo) -> Option<Fault> {
        self.faults.as_ref()?(info)
    }

    /// Creates an object outside of any request.
    fn bootstrap(&self, group: &str, plural: &str, body: &str) -> crate::status::Result<()> {
        let mut storage = self.shared.storage();
        let Some(kind) = storage.registry.preferred(group, plural).cloned() else {
            return Err(crate::status::Refusal::unknown_resource());
        };
        let target = Target {
            group: group.to_owned(),
            version: kind.version.clone(),
            plural: plural.to_owned(),
            ..Target::default()
        };
        let mut call = Call {
            storage: &mut storage,
            kind,
            target: &target,
            query: &Query::default(),
            manager: "kube-memory",
            content_type: "application/json",
        };
        call.run(Verb::Create, body.as_bytes()).map(|_| ())
    }
}

impl Shared {
    /// The state. A panic elsewhere leaves it whole, since each write is a single step.
    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryCluster {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storage = self.shared.storage();
        f.debug_struct("MemoryCluster")
            .field("revision", &storage.revision)
            .field("writes", &storage.writes)
            .finish_non_exhaustive()
    }
}
