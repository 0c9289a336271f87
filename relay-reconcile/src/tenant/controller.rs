//! The watches that wake tenants.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::v1beta1::Tenant;
use tracing::{debug, warn};

use super::reconcile::reconcile;
use crate::dependency::DependencyOf;
use crate::requeue::Failures;
use crate::{Context, Error};

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
            |tenant, shared: Arc<(Arc<Context>, Failures)>| async move {
                let (context, failures) = &*shared;
                let uid = tenant.uid().unwrap_or_default();
                let action = reconcile(tenant, context).await?;
                failures.forget(&uid);
                Ok::<_, Error>(action)
            },
            |tenant, error, shared| {
                warn!(tenant = tenant.name_any(), %error, "a reconcile failed");
                let (context, failures) = &*shared;
                failures.failed(&tenant.uid().unwrap_or_default(), context.clock.now())
            },
            Arc::new((Arc::clone(&context), Failures::default())),
        )
        .for_each(|result| async move {
            match result {
                Ok((tenant, _)) => debug!(%tenant, "reconciled"),
                Err(error) => debug!(%error, "not reconciled"),
            }
        })
        .await;
}
