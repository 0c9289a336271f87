//! The watches that wake tenants.

use std::future::{self, Future};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::EventType;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use relay_model::annotation;
use relay_model::v1beta1::{Tenant, TenantSpec};
use tracing::{Instrument as _, info_span};

use super::reconcile::reconcile;
use super::secrets::SecretWatches;
use crate::dependency::DependencyOf;
use crate::requeue::Failures;
use crate::telemetry::News;
use crate::unread::Unread;
use crate::{Context, Error, Telemetry, telemetry, unread};

/// Works on all tenants until `stopped` is done, finishing what is being worked on.
pub async fn controller(
    context: Arc<Context>,
    stopped: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let managed = watcher::Config::default().labels(annotation::TENANT_WORKLOAD);
    // What changed is read when it is needed.
    let namespaces = Api::<PartialObjectMeta<Namespace>>::all(context.client.clone());
    let (tenants, writer) = reflector::store();
    let (known, told) = (tenants.clone(), context.telemetry.clone());
    let refused = context.telemetry.clone();
    let (secrets, woken) = SecretWatches::new(context.client.clone());
    let shared = Arc::new(Shared { context, secrets, failures: Failures::default() });
    let (context, (follower, left)) = (&shared.context, (Arc::clone(&shared), tenants.clone()));
    let changes = watcher(context.custom_resources::<Unread<Tenant>>(), watcher::Config::default())
        .default_backoff()
        .try_filter_map(move |event| {
            future::ready(Ok(unread::read(event, |tenant| read(tenant, &refused))))
        })
        .inspect_ok(move |event| tell(event, &known, &told))
        .reflect(writer)
        .inspect_ok(move |event| follower.secrets.forget(event, &left))
        .applied_objects();
    let workers = context.settings.workers;
    Controller::for_stream(changes, tenants)
        .with_config(Config::default().concurrency(workers))
        .watches(namespaces, managed, |namespace| {
            DependencyOf::of(&namespace.metadata).and_then(|of| of.object_ref())
        })
        .reconcile_on(woken)
        .graceful_shutdown_on(stopped)
        .run(
            |tenant, shared: Arc<Shared>| async move {
                let span = info_span!("tenant", tenant = %ObjectRef::from_obj(&*tenant));
                work(tenant, &shared).instrument(span).await
            },
            |tenant, error, shared| failed(&tenant, error, &shared),
            Arc::clone(&shared),
        )
        .for_each(|worked| async { telemetry::note(worked) })
        .await;
}

/// A tenant. One that cannot be read is told so, and left alone, but for its deletion, which is a
/// matter of its metadata and status.
fn read(tenant: Unread<Tenant>, telemetry: &Telemetry) -> Option<Tenant> {
    let (spec, status) = (tenant.spec(), tenant.status());
    let metadata = tenant.metadata;
    let read = Tenant { metadata, spec: TenantSpec::default(), status: None };
    match (spec, status) {
        (Ok(spec), Ok(status)) => Some(Tenant { spec, status, ..read }),
        (_, Ok(status)) if read.metadata.deletion_timestamp.is_some() => {
            Some(Tenant { status, ..read })
        }
        (Err(error), _) | (_, Err(error)) => {
            let note = format!("the tenant cannot be read: {error}");
            let reason = "InvalidTenant".to_owned();
            telemetry.tell(&read, News { type_: EventType::Warning, reason, note });
            None
        }
    }
}

/// What all reconciles share.
struct Shared {
    context: Arc<Context>,
    secrets: SecretWatches,
    failures: Failures,
}

async fn work(tenant: Arc<Tenant>, shared: &Shared) -> Result<Action, Error> {
    let Shared { context, secrets, failures } = shared;
    let uid = tenant.uid().unwrap_or_default();
    let worked = reconcile(Arc::clone(&tenant), context);
    let action = context.telemetry.reconcile("tenant", worked).await?;
    // By now the operator may watch them.
    secrets.follow(&tenant);
    failures.forget(&uid);
    Ok(action)
}

fn failed(tenant: &Tenant, error: &Error, shared: &Shared) -> Action {
    let Shared { context, failures, .. } = shared;
    let uid = tenant.uid().unwrap_or_default();
    let (action, times) = failures.failed(&uid, context.clock.now());
    context.telemetry.failed(tenant, times, error);
    action
}

/// Tells of a change of a tenant. What a list shows for the first time has been told before.
fn tell(event: &Event<Tenant>, known: &Store<Tenant>, telemetry: &Telemetry) {
    let Event::Apply(tenant) = event else { return };
    let before = known.get(&ObjectRef::from_obj(tenant));
    let before = before.as_ref().and_then(|tenant| tenant.status.as_ref());
    if let Some(status) = &tenant.status
        && let Some(news) = telemetry::of_tenant(before, status)
    {
        telemetry.tell(tenant, news);
    }
}
