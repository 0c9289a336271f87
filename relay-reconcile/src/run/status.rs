//! Writing the status of a run: onto the state of it that is known, and no larger than what is taken.
//!
//! A write names the version of the run that it is made for, so that neither an operator that has
//! been replaced nor one that is behind writes over what it has not seen, nor onto another run of
//! the same name. It replaces the status as a whole: in a merge, null members of values would go.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use relay_model::v1beta1::{Run, RunStatus};
use serde_json::json;

use super::cut::Cut;
use crate::context::FIELD_MANAGER;
use crate::error::{is_conflict, is_not_found, is_too_large};
use crate::read::read;
use crate::unread::Unread;
use crate::{Context, Error};

/// How often a write is tried that others come before.
const TRIES: usize = 5;

/// What was written last of a run.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) status: Arc<RunStatus>,
    /// The same as it is stored: reading it back may make something else of it.
    stored: Option<Arc<RunStatus>>,
    /// The version of the run after the last write of ours.
    version: Option<String>,
    cut: Cut,
}

impl Written {
    /// What a watch shows of a run, which has been written to since if there is a later version.
    pub(super) fn new(run: &Run, version: Option<String>) -> Self {
        let stored = run.status.clone().map(Arc::new);
        Self { status: stored.clone().unwrap_or_default(), stored, version, cut: Cut::default() }
    }

    /// With the version after a write to something else of the run.
    pub(super) fn at(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }

    /// Whether a watch does not show yet what was written last.
    pub(super) fn is_ahead_of(&self, run: &Run) -> bool {
        let number = |version: Option<&str>| version?.parse::<u64>().ok();
        let written = number(self.version.as_deref());
        let shown = number(run.metadata.resource_version.as_deref());
        written.zip(shown).is_some_and(|(written, shown)| written > shown)
    }

    /// Whether this status is to be written: it is another one, or somebody has written over it.
    pub(super) fn differs(&self, run: &Run, status: &RunStatus) -> bool {
        if self.is_ahead_of(run) {
            return *self.status != *status;
        }
        let is_stored = run.status.as_ref() == Some(status);
        let is_ours = run.status.as_ref() == self.stored.as_deref();
        !is_stored && (*self.status != *status || !is_ours)
    }

    /// A status without what was found to be too much to write.
    pub(super) fn cut(&self, status: RunStatus) -> RunStatus {
        self.cut.apply(status)
    }

    /// Writes a status, or as much of it as is taken.
    pub(super) async fn write(
        &self,
        context: &Context,
        run: &Run,
        status: RunStatus,
    ) -> Result<Self, Error> {
        let mut cut = self.cut;
        let mut status = cut.apply(status);
        loop {
            let refused = match self.put(context, run, &status).await {
                Ok(answer) => {
                    let status = Arc::new(status);
                    let Some(answer) = answer else {
                        return Ok(Self { status, ..self.clone() });
                    };
                    let stored = answer.status::<RunStatus>().ok().flatten();
                    let is_same = stored.as_ref() == Some(&*status);
                    let stored = if is_same { Some(status.clone()) } else { stored.map(Arc::new) };
                    return Ok(Self { status, stored, version: answer.resource_version(), cut });
                }
                Err(error) => error,
            };
            match cut.more().filter(|_| is_too_large(&refused)) {
                Some(more) => cut = more,
                None => {
                    let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
                    let what = format!("Run {namespace}/{name}");
                    return Err(Error::api("write the status of", what)(refused));
                }
            }
            status = cut.apply(status);
        }
    }

    /// Writes, unless somebody else wrote the status in the meantime. Of a run that is gone there is
    /// no answer.
    async fn put(
        &self,
        context: &Context,
        run: &Run,
        status: &RunStatus,
    ) -> Result<Option<Unread<Run>>, kube::Error> {
        let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
        let api: Api<Unread<Run>> = Api::namespaced(context.client.clone(), &namespace);
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (mut version, expected) = if self.is_ahead_of(run) {
            (self.version.clone(), self.stored.as_deref())
        } else {
            (run.resource_version(), run.status.as_ref())
        };
        let mut tries = 1;
        loop {
            let patch = serde_json::from_value(json!([
                {"op": "add", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/status", "value": status},
            ]));
            let patch = Patch::Json::<()>(patch.map_err(kube::Error::SerdeError)?);
            let conflict = match api.patch_status(&name, &params, &patch).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if is_not_found(&error) => return Ok(None),
                Err(error) if is_conflict(&error) && tries < TRIES => error,
                Err(error) => return Err(error),
            };
            tries += 1;
            let found = read(|| api.get_opt(&name)).await?;
            let Some(found) = found.filter(|found| found.uid() == run.uid()) else {
                return Ok(None);
            };
            let stored = found.status::<RunStatus>().ok().flatten();
            // The answer to an earlier write of the same may have been lost.
            if stored.as_ref() == Some(status) {
                return Ok(Some(found));
            }
            if stored.as_ref() != expected {
                return Err(conflict);
            }
            version = found.resource_version();
        }
    }
}
