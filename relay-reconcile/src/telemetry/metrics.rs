//! What is counted (`operator.md` §4 and §16). Labels are kinds, reasons and outcomes, never names,
//! so that their number is bounded.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use relay_model::v1beta1::{Condition, ConditionStatus, Run, RunStatus};

use crate::admission::Outcome;

/// The numbers of one process.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    families: Families,
    /// The runs that are known, while this process leads.
    runs: Mutex<Option<Store<Run>>>,
}

struct Families {
    reconciles: Family<ResultLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    in_flight: Family<ControllerLabels, Gauge>,
    seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    leads: Gauge,
    admissions: Family<OutcomeLabels, Counter>,
    runs: Gauge,
    statuses: Family<StatusLabels, Gauge>,
    outcomes: Family<OutcomeLabels, Counter>,
    execution: Histogram,
    init: Histogram,
    total: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The states of runs that have not ended.
const STATUSES: [&str; 3] = ["pending", "queued", "in-progress"];

impl Default for Families {
    fn default() -> Self {
        let seconds = || Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0]);
        let run_time = || {
            let bounds = [0., 5., 10., 20., 30., 45., 60., 120., 300., 600., 1_800., 3_600.];
            Histogram::new(bounds)
        };
        Self {
            reconciles: Family::default(),
            errors: Family::default(),
            in_flight: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            leads: Gauge::default(),
            admissions: Family::default(),
            runs: Gauge::default(),
            statuses: Family::default(),
            outcomes: Family::default(),
            execution: run_time(),
            init: run_time(),
            total: run_time(),
        }
    }
}

impl Families {
    fn registry(&self) -> Registry {
        let mut all = Registry::default();
        let operator = all.sub_registry_with_prefix("relay_operator");
        operator.register("reconciles", "Reconciles that ended", self.reconciles.clone());
        operator.register("reconcile_errors", "Reconciles that failed", self.errors.clone());
        operator.register("reconciles_in_flight", "Reconciles going on", self.in_flight.clone());
        let help = "How long reconciles took";
        operator.register_with_unit(
            "reconcile_duration",
            help,
            Unit::Seconds,
            self.seconds.clone(),
        );
        operator.register("leader", "1 while this replica leads", self.leads.clone());
        let help = "Pods that the webhook was asked about, by outcome";
        operator.register("admissions", help, self.admissions.clone());
        let runs = all.sub_registry_with_prefix("workflow_run");
        runs.register("count", "Runs that exist", self.runs.clone());
        runs.register("status", "Runs that have not ended, by status", self.statuses.clone());
        runs.register("outcome", "Runs that ended, by outcome", self.outcomes.clone());
        let times = [
            ("execution_time", "From the start of a run to its end", &self.execution),
            ("init_time", "From the creation of a run to its start", &self.init),
            ("total_time", "From the creation of a run to its end", &self.total),
        ];
        for (name, help, histogram) in times {
            runs.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        all
    }
}

/// A reconcile that goes on.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Whether this process leads.
    pub fn set_leading(&self, leads: bool) {
        self.0.families.leads.set(i64::from(leads));
    }

    /// Counts a question about a pod: that was decided, or, without an outcome, could not be read.
    pub fn admitted(&self, outcome: Option<Outcome>) {
        let outcome = outcome.map_or("unreadable", Outcome::as_str);
        self.0.families.admissions.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// All numbers, in the format of `OpenMetrics`.
    ///
    /// # Errors
    ///
    /// When they cannot be written as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        self.count_runs();
        let mut page = String::new();
        text::encode(&mut page, &self.0.families.registry())?;
        Ok(page)
    }

    pub(crate) fn begin(&self, controller: &'static str) -> InFlight {
        let gauge = self.0.families.in_flight.get_or_create_owned(&ControllerLabels { controller });
        gauge.inc();
        InFlight(gauge)
    }

    pub(crate) fn reconciled(
        &self,
        controller: &'static str,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let Families { reconciles, errors, seconds, .. } = &self.0.families;
        let result = if error.is_some() { "error" } else { "ok" };
        reconciles.get_or_create(&ResultLabels { controller, result }).inc();
        if let Some(reason) = error {
            errors.get_or_create(&ErrorLabels { controller, reason }).inc();
        }
        seconds.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
    }

    /// Counts the runs in this store from now on.
    pub(crate) fn watch_runs(&self, runs: Store<Run>) -> WatchedRuns {
        *self.0.runs.lock().unwrap_or_else(PoisonError::into_inner) = Some(runs);
        WatchedRuns(self.clone())
    }

    /// Counts what a change of a run says: its start and its end, each once.
    pub(crate) fn run_changed(&self, before: Option<&RunStatus>, run: &Run) {
        let Some(status) = &run.status else { return };
        let Families { outcomes, execution, init, total, .. } = &self.0.families;
        let created = run.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let started = status.start_time.as_ref().map(|time| time.0);
        let ended = status.completion_time.as_ref().map(|time| time.0);
        let observe = |histogram: &Histogram, from: Option<Timestamp>, to: Option<Timestamp>| {
            if let (Some(from), Some(to)) = (from, to) {
                histogram.observe(to.duration_since(from).as_secs_f64().max(0.0));
            }
        };
        if before.is_none_or(|before| before.start_time.is_none()) {
            observe(init, created, started);
        }
        if status.is_completed() && !before.is_some_and(RunStatus::is_completed) {
            outcomes.get_or_create(&OutcomeLabels { outcome: outcome(status) }).inc();
            observe(execution, started, ended);
            observe(total, created, ended);
        }
    }

    fn count_runs(&self) {
        let Families { runs, statuses, .. } = &self.0.families;
        let store = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = store.map(|store| store.state()).unwrap_or_default();
        let mut counts = STATUSES.map(|status| (status, 0));
        for run in &all {
            let status = status_of(run);
            for (name, count) in &mut counts {
                *count += i64::from(status == Some(*name));
            }
        }
        runs.set(i64::try_from(all.len()).unwrap_or(i64::MAX));
        for (status, count) in counts {
            statuses.get_or_create(&StatusLabels { status }).set(count);
        }
    }
}

/// Runs are counted as long as this is kept.
pub(crate) struct WatchedRuns(Metrics);

impl Drop for WatchedRuns {
    fn drop(&mut self) {
        *self.0.0.runs.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One of [`STATUSES`]: not seen by a controller yet, waiting to start, or started.
fn status_of(run: &Run) -> Option<&'static str> {
    match &run.status {
        None => Some("pending"),
        Some(status) if status.is_completed() => None,
        Some(status) if status.start_time.is_none() => Some("queued"),
        Some(_) => Some("in-progress"),
    }
}

fn outcome(status: &RunStatus) -> &'static str {
    if status.condition("Cancelled").is_some_and(Condition::is_true) {
        return "cancelled";
    }
    let succeeded = status.condition("Succeeded").map(|condition| condition.status);
    if succeeded == Some(ConditionStatus::True) { "success" } else { "failure" }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
