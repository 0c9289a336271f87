//! What a watch tells, made whole: deletions that happened while it was interrupted are told too.

use std::collections::{HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::runtime::watcher::Event;

/// A change of an object.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// It is there, new or different or as it was.
    Present(Identity, K),
    /// It is no longer there.
    Gone(Identity),
    /// All objects that there are have been told.
    Listed,
}

/// Which object, and whose.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) controller: Option<OwnerReference>,
}

impl Identity {
    pub(super) fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        let mut owners = metadata.owner_references.iter().flatten();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            controller: owners.find(|owner| owner.controller == Some(true)).cloned(),
        }
    }
}

/// Turns the events of a watch into [`Change`]s.
#[derive(Debug, Default)]
pub(super) struct Changes {
    known: HashMap<String, Identity>,
    /// What a list in progress has named so far.
    listing: HashSet<String>,
}

impl Changes {
    pub(super) fn of<K: Resource>(&mut self, event: Event<K>) -> Vec<Change<K>> {
        match event {
            Event::Init => {
                self.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let identity = Identity::of(&object);
                self.listing.insert(identity.uid.clone());
                vec![self.present(identity, object)]
            }
            Event::Apply(object) => vec![self.present(Identity::of(&object), object)],
            Event::Delete(object) => {
                let identity = Identity::of(&object);
                self.known.remove(&identity.uid);
                vec![Change::Gone(identity)]
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let gone = self.known.extract_if(|uid, _| !listed.contains(uid));
                let mut changes: Vec<_> =
                    gone.map(|(_, identity)| Change::Gone(identity)).collect();
                changes.push(Change::Listed);
                changes
            }
        }
    }

    fn present<K>(&mut self, identity: Identity, object: K) -> Change<K> {
        if !self.known.contains_key(&identity.uid) {
            self.known.insert(identity.uid.clone(), identity.clone());
        }
        Change::Present(identity, object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    fn object(name: &str, uid: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                uid: Some(uid.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    #[test]
    fn what_vanished_in_a_gap_is_gone() {
        let mut changes = Changes::default();
        let mut told = Vec::new();
        for event in [
            Event::Init,
            Event::InitApply(object("a", "1")),
            Event::InitApply(object("b", "2")),
            Event::InitDone,
            Event::Apply(object("c", "3")),
            Event::Delete(object("b", "2")),
            // The watch was lost; "a" is another object of that name now.
            Event::Init,
            Event::InitApply(object("a", "4")),
            Event::InitApply(object("c", "3")),
            Event::InitDone,
        ] {
            for change in changes.of(event) {
                told.push(match change {
                    Change::Present(identity, _) => format!("+{}", identity.uid),
                    Change::Gone(identity) => format!("-{}", identity.uid),
                    Change::Listed => "listed".to_owned(),
                });
            }
        }
        let expected = ["+1", "+2", "listed", "+3", "-2", "+4", "+3", "-1", "listed"];
        assert_eq!(told, expected);
    }
}
