//! Who is on the bus, and who is gone for good.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{AgentSummary, PublisherSummary};
use schemas::{AgentName, PublisherName};

use super::PublisherHandle;
use crate::tracker::RetireError;

/// A publisher's last heartbeats are looked for from so long before the last that was heard.
const BEFORE: SignedDuration = SignedDuration::from_secs(5);

impl PublisherHandle {
    /// One row per agent.
    pub fn agents(&self) -> Vec<AgentSummary> {
        self.0.tracker.agent_summaries()
    }

    /// One row per publisher.
    pub fn publishers(&self) -> Vec<PublisherSummary> {
        self.0.tracker.publisher_summaries()
    }

    /// Says on the board that an agent is gone for good: nothing is owed by it until it reports again. One that is
    /// alive is retired only `by_force`.
    pub(crate) async fn retire_agent(
        &self,
        name: &AgentName,
        by_force: bool,
    ) -> Result<AgentSummary, RetireError> {
        self.0.tracker.retire_agent(name, by_force).await
    }

    /// Says on the board that a publisher is gone for good: what is missing on its lines is lost. One that is alive
    /// is retired only `by_force`, and never the one that is asked.
    pub(crate) async fn retire_publisher(
        &self,
        name: &PublisherName,
        by_force: bool,
    ) -> Result<PublisherSummary, RetireError> {
        let known = self.0.tracker.may_retire_publisher(name, by_force)?;
        let read = match (&self.0.searcher, known.heard_at) {
            (Some(searcher), Some(heard_at)) => {
                let since = heard_at.checked_sub(BEFORE).unwrap_or(Timestamp::MIN);
                searcher.heads(name, since).await
            }
            _ => BTreeMap::new(),
        };
        self.0.tracker.retire_publisher(name, &read, by_force).await
    }
}
