//! How the ConfigMaps of runs are read.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use relay_core::Action;

use crate::config_map::{ConfigMapDefinition, ConfigMapJournal};
use crate::stored::{Cell, Stored, Turns};
use crate::watched::Watches;

/// How long an immutable map is not read again. It never changes, but it may be deleted, and another
/// one of its name be made.
const RECENT: Duration = Duration::from_secs(1);

/// The ConfigMaps that one identity may read and write, and how they are read: kept by watches, or
/// read by name.
pub struct ConfigMaps {
    client: Client,
    reading: Reading,
    turns: Turns,
}

enum Reading {
    Watched(Watches<ConfigMap>),
    /// By namespace and name, with the time of the first request.
    Named(Mutex<HashMap<(String, String), (Instant, Cell)>>),
}

impl ConfigMaps {
    /// Kept by watches: what was read before costs no call.
    #[must_use]
    pub fn watched(client: Client) -> Self {
        let reading = Reading::Watched(Watches::new(client.clone()));
        Self { client, reading, turns: Turns::default() }
    }

    /// Read by name, for an identity that may do no more, or in a process that holds the maps
    /// anyway: the immutable one of a run once a second at most, whatever the number of requests,
    /// the mutable one once for each request.
    #[must_use]
    pub fn by_name(client: Client) -> Self {
        Self { client, reading: Reading::Named(Mutex::default()), turns: Turns::default() }
    }

    /// The definition of this action in this map.
    #[must_use]
    pub fn definition(&self, namespace: &str, name: &str, action: Action) -> ConfigMapDefinition {
        let recent = match &self.reading {
            Reading::Watched(_) => {
                return ConfigMapDefinition::on(self.map(namespace, name), action);
            }
            Reading::Named(recent) => recent,
        };
        let now = Instant::now();
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, (first, _)| now.duration_since(*first) < RECENT);
        let (_, cell) = recent
            .entry((namespace.to_owned(), name.to_owned()))
            .or_insert_with(|| (now, Cell::default()));
        let map = self.map(namespace, name);
        map.cell().clone_from(cell);
        ConfigMapDefinition::on(map, action)
    }

    /// The journal of this action in this map.
    #[must_use]
    pub fn journal(&self, namespace: &str, name: &str, action: Action) -> ConfigMapJournal {
        ConfigMapJournal::on(self.map(namespace, name), action)
    }

    fn map(&self, namespace: &str, name: &str) -> Stored {
        let stored = match &self.reading {
            Reading::Watched(watches) => Stored::watched(watches, namespace, name),
            Reading::Named(_) => Stored::new(self.client.clone(), namespace, name),
        };
        stored.with_turns(&self.turns)
    }
}

impl fmt::Debug for ConfigMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reading = match self.reading {
            Reading::Watched(_) => "watched",
            Reading::Named(_) => "by name",
        };
        f.debug_struct("ConfigMaps").field("reading", &reading).finish_non_exhaustive()
    }
}
