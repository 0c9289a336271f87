//! The status of a tenant, from what was observed; pure.

use jiff::Timestamp;
use relay_model::v1beta1::{Condition, ConditionStatus, Tenant, TenantStatus};

use super::sink::Sink;

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
    /// The API server does not let it be made, or something in it.
    Refused(String),
    /// Something in it that is ours by its name is not.
    Occupied(String),
}

/// What was found of a tenant.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) namespace: NamespaceState,
    pub(super) events: Sink,
    pub(super) executions: Sink,
}

pub(super) fn report(
    tenant: &Tenant,
    namespace: &str,
    observed: &Observed,
    now: Timestamp,
) -> TenantStatus {
    let before = tenant.status.clone().unwrap_or_default();
    let components = [
        namespace_condition(namespace, &observed.namespace, now),
        sink_condition(["EventSink", "an event sink", "The event sink"], &observed.events, now),
        sink_condition(
            ["WorkflowExecutionSink", "a workflow execution sink", "The workflow execution sink"],
            &observed.executions,
            now,
        ),
    ];
    let has = |status| components.iter().any(|condition| condition.status == status);
    let ready = if has(ConditionStatus::False) {
        Condition::new("Ready", Some(false), now)
            .because("Error", "One or more tenant components failed.")
    } else if has(ConditionStatus::Unknown) {
        Condition::new("Ready", None, now)
            .because("Waiting", "One or more tenant components are not ready yet.")
    } else {
        Condition::new("Ready", Some(true), now).because("Ready", "The tenant is configured.")
    };
    TenantStatus {
        observed_generation: tenant.metadata.generation,
        namespace: (observed.namespace == NamespaceState::Ready).then(|| namespace.to_owned()),
        conditions: components
            .into_iter()
            .chain([ready])
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
        NamespaceState::Occupied(object) => (
            Some(false),
            "NamespaceConflict",
            format!("{object} exists and was not made for this tenant."),
        ),
        NamespaceState::Missing => {
            (None, "NamespaceNotFound", format!("The namespace {namespace} does not exist."))
        }
    };
    Condition::new("NamespaceReady", ready, now).because(reason, &message)
}

fn sink_condition([kind, a, the]: [&str; 3], sink: &Sink, now: Timestamp) -> Condition {
    let (ready, reason, message) = match sink {
        Sink::Absent => (true, "Missing", format!("The tenant does not have {a} defined.")),
        Sink::NotConfigured(message) => (false, "NotConfigured", message.clone()),
        Sink::Ready { .. } => (true, "Ready", format!("{the} is ready.")),
    };
    Condition::new(&format!("{kind}Ready"), Some(ready), now)
        .because(&format!("{kind}{reason}"), &message)
}
