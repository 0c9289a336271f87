//! The logs of a run's pods.

use bytes::Bytes;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};
use relay_model::v1beta1::Run;
use relay_model::{annotation, name};
use std::time::Duration;
use tokio::sync::mpsc;

use super::{Cluster, Problem, target_namespace};

/// The container of a step's pod that does the work.
const CONTAINER: &str = "step-step";
/// How long it takes to look for a pod again.
const PAUSE: Duration = Duration::from_millis(300);
const PIECE: usize = 16 << 10;

/// The pods of a run.
#[derive(Clone)]
pub(super) struct Pods {
    api: Api<Pod>,
    run: String,
}

/// What comes from a pod.
#[derive(Debug)]
pub(super) enum Piece {
    Output(String, Bytes),
    /// There will be no more of this step; why, if there should be.
    End(String, Option<Problem>),
}

impl Pods {
    pub(super) fn of(cluster: &Cluster, run: &Run) -> Self {
        let api = Api::namespaced(cluster.client.clone(), &target_namespace(run));
        Self { api, run: run.name_any() }
    }

    /// The pod of a step; the last one, should there be more.
    async fn find(&self, step: &str) -> Result<Option<Pod>, Problem> {
        let label = format!("{}={}", annotation::RUN_ID, name::label_value(&self.run));
        let failed = Problem::api(format!("list the pods of run {:?}", self.run));
        let pods = self.api.list(&ListParams::default().labels(&label)).await.map_err(failed)?;
        let of_step = pods.into_iter().filter(|pod| {
            pod.annotations().get(annotation::STEP).is_some_and(|known| known == step)
        });
        Ok(of_step.max_by_key(|pod| pod.creation_timestamp().map(|time| time.0)))
    }

    /// Sends what a step has written so far. Whether there is anything to send.
    pub(super) async fn written(
        &self,
        step: &str,
        to: &mpsc::Sender<Piece>,
    ) -> Result<bool, Problem> {
        let Some(pod) = self.find(step).await?.filter(has_started) else { return Ok(false) };
        self.copy(&pod, step, false, to).await?;
        Ok(true)
    }

    /// Sends what a step writes, as it writes it, to its end.
    pub(super) async fn follow(&self, step: &str, to: &mpsc::Sender<Piece>) -> Result<(), Problem> {
        loop {
            if let Some(pod) = self.find(step).await?.filter(has_started) {
                return self.copy(&pod, step, true, to).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn copy(
        &self,
        pod: &Pod,
        step: &str,
        follow: bool,
        to: &mpsc::Sender<Piece>,
    ) -> Result<(), Problem> {
        let container = Some(CONTAINER.to_owned());
        let params = LogParams { container, follow, ..LogParams::default() };
        let failed = Problem::api(format!("read the log of step {step:?}"));
        let stream = self.api.log_stream(&pod.name_any(), &params).await.map_err(failed)?;
        let mut stream = std::pin::pin!(stream);
        let mut bytes = vec![0; PIECE];
        let mut last = b'\n';
        loop {
            let length = stream.read(&mut bytes).await.map_err(|error| Problem::Failed {
                doing: format!("read the log of step {step:?}"),
                why: error.to_string(),
            })?;
            let piece = bytes.get(..length).unwrap_or_default();
            let Some(end) = piece.last() else { break };
            last = *end;
            // Fails when nobody listens any more.
            drop(to.send(Piece::Output(step.to_owned(), Bytes::copy_from_slice(piece))).await);
        }
        if last != b'\n' {
            drop(to.send(Piece::Output(step.to_owned(), Bytes::from_static(b"\n"))).await);
        }
        Ok(())
    }
}

/// Whether there is a log to be read.
fn has_started(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let has_started = |status: &ContainerStatus| {
        let state = status.state.as_ref();
        status.name == CONTAINER
            && state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    statuses.is_some_and(|statuses| statuses.iter().any(has_started))
}
