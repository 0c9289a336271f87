//! The watches that wake tenants.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::v1beta1::Tenant;
use tracing::{debug, warn};

use super::reconcile::reconcile;
use crate::Context;
use crate::dependency::DependencyOf;

/// How long a tenant waits after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Works on all tenants until `stopped` is done, finishing what is being worked on.
pub async fn controller(
    context: Arc<Context>,
    stopped: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = &context.client;
    let managed = watcher::Config::default().labels(annotation::TENANT_WORKLOAD);
    Controller::new(Api::<Tenant>::all(client.clone()), watcher::Config::default())
        .watches(Api::<Namespace>::all(client.clone()), managed, |namespace| {
            DependencyOf::of(&namespace.metadata).and_then(|of| of.object_ref())
        })
        .graceful_shutdown_on(stopped)
        .run(
            |tenant, context: Arc<Context>| async move { reconcile(tenant, &context).await },
            |tenant, error, _| {
                warn!(tenant = tenant.name_any(), %error, "a reconcile failed");
                Action::requeue(RETRY)
            },
            Arc::clone(&context),
        )
        .for_each(|result| async move {
            match result {
                Ok((tenant, _)) => debug!(%tenant, "reconciled"),
                Err(error) => debug!(%error, "not reconciled"),
            }
        })
        .await;
}
