//! What the metadata API is told about the step.

use std::time::Duration;

use jiff::Timestamp;

use super::{Ended, EntrypointError};
use crate::client::{
    Backoff, ClientError, MetadataClient, ProcessState, Retry, Status, WhenCondition, WhenStatus,
};

pub(super) struct Record {
    client: Option<MetadataClient>,
    condition: WhenCondition,
}

impl Record {
    pub(super) fn new(client: Option<MetadataClient>) -> Self {
        Self { client, condition: WhenCondition::now(WhenStatus::Evaluating) }
    }

    /// Reports on the way. That the API does not take it is no reason to stop: if it is out of
    /// order, the next question fails too, and that one counts.
    pub(super) async fn condition(&mut self, status: WhenStatus) {
        self.condition = WhenCondition::now(status);
        if let Err(error) = self.put(None).await {
            tracing::warn!(error = error.chain(), "the state of the step was not reported");
        }
    }

    /// Reports the end. A cancelled step spends no more than `hurry` on it.
    pub(super) async fn end(
        mut self,
        ended: Ended,
        hurry: Duration,
    ) -> Result<Ended, EntrypointError> {
        let settled = match &ended {
            Ended::Skipped => Some(WhenStatus::NotSatisfied),
            Ended::ConditionsFailed { .. } => Some(WhenStatus::Failure),
            Ended::Cancelled { program: None } => match self.condition.status {
                WhenStatus::Satisfied => None,
                _ => Some(WhenStatus::Failure),
            },
            _ => None,
        };
        if let Some(status) = settled {
            self.condition = WhenCondition::now(status);
        }
        if matches!(ended, Ended::Cancelled { .. }) {
            self.client = self.client.map(|client| client.retrying(Retry::outages(hurry)));
        }
        let process_state = match self.condition.status {
            WhenStatus::Satisfied => ended
                .recorded()
                .map(|exit_code| ProcessState { exit_code, timestamp: Timestamp::now() }),
            _ => None,
        };
        match self.put(process_state).await {
            Ok(()) => Ok(ended),
            Err(source) => Err(EntrypointError::Unreported { ended, source }),
        }
    }

    async fn put(&self, process_state: Option<ProcessState>) -> Result<(), ClientError> {
        match &self.client {
            None => Ok(()),
            Some(client) => {
                let when_condition = self.condition.clone();
                client.put_status(&Status { process_state, when_condition }).await
            }
        }
    }
}

/// Asks until the conditions are decided, for at most `limit`: whether the step may run, or
/// why nobody can say.
pub(super) async fn decide(client: &MetadataClient, limit: Duration) -> Result<bool, String> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut backoff = Backoff::new();
    loop {
        let missing = match client.conditions().await {
            Ok(conditions) if conditions.resolved => return Ok(conditions.success),
            Ok(conditions) => conditions.message,
            Err(error) => return Err(error.chain()),
        };
        let next = tokio::time::Instant::now() + backoff.pause();
        if next >= deadline {
            return Err(format!("not decided within {limit:?}: {missing}"));
        }
        tokio::time::sleep_until(next).await;
    }
}
