//! The status of a tenant, from what was observed; pure.

use jiff::Timestamp;
use relay_model::v1beta1::{Condition, ConditionStatus, Tenant, TenantStatus};

/// What was found of the tenant's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NamespaceState {
    /// It is there, and the tenant's to use.
    Ready,
    /// It is on its way out.
    Terminating,
    /// It is there, and not ours.
    Conflict,
    /// Nobody may have that one.
    Reserved,
    /// It is not there.
    Missing,
    /// The API server does not let it be made.
    Refused(String),
}

/// What was found of the token of the event sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenState {
    Found,
    Missing,
}

pub(super) fn report(
    tenant: &Tenant,
    namespace: &str,
    state: &NamespaceState,
    token: TokenState,
    now: Timestamp,
) -> TenantStatus {
    let before = tenant.status.clone().unwrap_or_default();
    let namespace_ready = namespace_condition(namespace, state, now);
    let sink_ready = sink_condition(tenant, token, now);
    let statuses = [namespace_ready.status, sink_ready.status];
    let ready = if statuses.contains(&ConditionStatus::False) {
        Some(false)
    } else if statuses.contains(&ConditionStatus::Unknown) {
        None
    } else {
        Some(true)
    };
    let ready_condition = Condition::new("Ready", ready, now);
    let ready = match ready {
        Some(true) => ready_condition.because("Ready", "The tenant is configured."),
        Some(false) => ready_condition.because("Error", "One or more tenant components failed."),
        None => ready_condition,
    };
    TenantStatus {
        observed_generation: tenant.metadata.generation,
        namespace: (*state == NamespaceState::Ready).then(|| namespace.to_owned()),
        conditions: [namespace_ready, sink_ready, ready]
            .into_iter()
            .map(|condition| condition.keeping_time_of(&before.conditions))
            .collect(),
    }
}

fn namespace_condition(namespace: &str, state: &NamespaceState, now: Timestamp) -> Condition {
    let (ready, reason, message) = match state {
        NamespaceState::Ready => {
            (Some(true), "NamespaceReady", "The tenant namespace is ready.".to_owned())
        }
        NamespaceState::Terminating => {
            let message = format!("The namespace {namespace} is being deleted.");
            (None, "NamespaceTerminating", message)
        }
        NamespaceState::Conflict => (
            Some(false),
            "NamespaceConflict",
            format!("The namespace {namespace} exists and was not made for this tenant."),
        ),
        NamespaceState::Reserved => (
            Some(false),
            "NamespaceReserved",
            format!("The namespace {namespace} is none that a tenant may have."),
        ),
        NamespaceState::Refused(message) => {
            (Some(false), "NamespaceError", format!("The namespace {namespace}: {message}"))
        }
        NamespaceState::Missing => {
            (None, "NamespaceNotFound", format!("The namespace {namespace} does not exist."))
        }
    };
    Condition::new("NamespaceReady", ready, now).because(reason, &message)
}

fn sink_condition(tenant: &Tenant, token: TokenState, now: Timestamp) -> Condition {
    let (ready, reason, message) = match &tenant.spec.trigger_event_sink.api {
        None => (true, "EventSinkMissing", "The tenant does not have an event sink defined."),
        Some(api) if api.url.is_empty() => (
            false,
            "EventSinkNotConfigured",
            "The API trigger event sink is missing an endpoint URL.",
        ),
        Some(_) if token == TokenState::Missing => {
            (false, "EventSinkNotConfigured", "The API trigger event sink is missing a token.")
        }
        Some(_) => (true, "EventSinkReady", "The event sink is ready."),
    };
    Condition::new("EventSinkReady", Some(ready), now).because(reason, message)
}
