//! Reading objects.

use super::{Call, Reply};
use crate::selector::FieldSelector;
use crate::status::{Refusal, Result};
use crate::storage::Object;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

impl Call<'_> {
    pub(super) fn get(&self) -> Result<Reply> {
        self.check_revision()?;
        Ok(self.object(200, self.live()?))
    }

    pub(super) fn list(&self) -> Result<Reply> {
        self.check_revision()?;
        self.check_fields(&self.query.fields)?;
        let start = self.query.resume.as_deref().map(Position::read).transpose()?;
        let revision = start.as_ref().map_or(self.storage.revision, |start| start.revision);
        let mut objects = self.matching();
        if let Some(start) = start {
            objects.retain(|object| {
                let key = (&object.key.namespace, &object.key.name);
                key > (&start.namespace, &start.name)
            });
        }
        let (mut resume, mut remaining) = (None, None);
        let limit = self.query.limit;
        if limit > 0 && objects.len() > limit {
            // The rest cannot be counted without reading it where a selector is at work.
            let selective = !self.query.labels.is_empty() || !self.query.fields.is_empty();
            remaining = (!selective).then(|| objects.len() - limit);
            objects.truncate(limit);
            resume = objects.last().map(|last| {
                Position {
                    revision,
                    namespace: last.key.namespace.clone(),
                    name: last.key.name.clone(),
                }
                .write()
            });
        }
        Ok(Reply::List { kind: Arc::clone(&self.kind), objects, revision, resume, remaining })
    }

    /// The objects of the request's collection that its selectors let through.
    pub(super) fn matching(&self) -> Vec<Arc<Object>> {
        let query = self.query;
        let name = self.target.name.as_deref();
        self.storage
            .list(&self.resource(), self.target.namespace.as_deref())
            .filter(|object| name.is_none_or(|name| object.key.name == name))
            .filter(|object| query.selects(object))
            .cloned()
            .collect()
    }

    /// Fields that may be selected: the name, the namespace, and what the kind names.
    pub(crate) fn check_fields(&self, selector: &FieldSelector) -> Result<()> {
        for requirement in selector.requirements() {
            let path = requirement.path.as_str();
            let known = match path {
                "metadata.name" => true,
                "metadata.namespace" => self.kind.namespaced || !self.kind.is_custom(),
                _ => self.kind.selectable.iter().any(|selectable| selectable == path),
            };
            if !known {
                return Err(Refusal::bad_request(if self.kind.is_custom() {
                    format!("field label not supported: {path}")
                } else {
                    format!(
                        "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                }));
            }
        }
        Ok(())
    }

    /// A state from the future cannot be had.
    fn check_revision(&self) -> Result<()> {
        match self.query.revision {
            Some(asked) if asked > self.storage.revision => {
                Err(Refusal::too_large_version(asked, self.storage.revision))
            }
            Some(asked) if self.query.exact && asked != self.storage.revision => {
                Err(Refusal::new(410, "Expired", "The provided resource version is too old."))
            }
            _ => Ok(()),
        }
    }
}

/// Where the next page begins.
struct Position {
    revision: u64,
    namespace: String,
    name: String,
}

impl Position {
    fn read(token: &str) -> Result<Self> {
        let refuse = || Refusal::bad_request("continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refuse())?;
        let text = String::from_utf8(bytes).map_err(|_| refuse())?;
        let mut parts = text.splitn(3, '/');
        let (Some(revision), Some(namespace), Some(name)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        Ok(Self {
            revision: revision.parse().map_err(|_| refuse())?,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.revision, self.namespace, self.name))
    }
}
