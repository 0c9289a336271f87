//! Working while this replica leads.

use std::sync::Arc;
use std::time::Duration;

use relay_reconcile::Context;
use relay_reconcile::admission::certificate::Keeper;
use relay_reconcile::leader::Candidate;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::Failure;

/// How long what is being worked on may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Why a replica does not lead any more.
enum Ended {
    /// It was asked to stop, and did.
    Stopped,
    /// Another one may lead: what was going on has been broken off.
    Lost,
    /// A controller ended without having been asked to.
    Broken(String),
}

/// Leads whenever that is possible, until `stop`.
pub(crate) async fn run(
    candidate: &Candidate,
    context: &Context,
    keeper: Option<&Keeper>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    loop {
        let mut leadership = tokio::select! {
            leadership = candidate.acquire() => leadership,
            () = stop.cancelled() => return Ok(()),
        };
        info!("this replica leads");
        context.telemetry.metrics.set_leading(true);
        let ended = tokio::select! {
            // An operator whose lease is lost must not go on for the sake of order.
            biased;
            () = leadership.hold() => Ended::Lost,
            ended = work(context, keeper, stop) => ended,
        };
        context.telemetry.metrics.set_leading(false);
        match ended {
            Ended::Lost => warn!("this replica does not lead any more: work was broken off"),
            Ended::Stopped => {
                leadership.release().await;
                return Ok(());
            }
            Ended::Broken(why) => {
                leadership.release().await;
                return Err(Failure(format!("a controller ended: {why}")));
            }
        }
    }
}

/// Runs the controllers until `stop`. Dropping this breaks them off at once.
async fn work(context: &Context, keeper: Option<&Keeper>, stop: &CancellationToken) -> Ended {
    let mut controllers = JoinSet::new();
    let context = Arc::new(context.clone());
    let stopped = || stop.clone().cancelled_owned();
    controllers.spawn(relay_reconcile::tenant::controller(Arc::clone(&context), stopped()));
    controllers.spawn(relay_reconcile::run::controller(context, stopped()));
    if let Some(keeper) = keeper.cloned() {
        controllers.spawn(keeper.run(stopped()));
    }
    tokio::select! {
        ended = controllers.join_next(), if !stop.is_cancelled() => {
            if !stop.is_cancelled() {
                let error = ended.and_then(Result::err).map(|error| error.to_string());
                return Ended::Broken(error.unwrap_or_else(|| "its watches ended".to_owned()));
            }
        }
        () = stop.cancelled() => {}
    }
    let all = async { while controllers.join_next().await.is_some() {} };
    if timeout(GRACE, all).await.is_err() {
        error!("work was broken off: it took too long to finish");
    }
    Ended::Stopped
}
