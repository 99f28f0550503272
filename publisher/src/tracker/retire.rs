//! Retiring: said on the board first, so that every publisher hears it, then kept here.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_adapter::{Message, Partition, Topic};
use jiff::Timestamp;
use schemas::api::{AgentState, AgentSummary, PublisherState, PublisherSummary};
use schemas::{AgentName, BoardMessage, LineId, Number, PublisherName, Retirement, wire};
use tokio::time::timeout;
use tracing::warn;

use super::handle::TrackerHandle;
use super::shell::Shared;
use super::store::StoreError;
use crate::error_chain;
use crate::journal::Stream;
use crate::search::Head;

/// Longest wait for the broker's ack.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

/// Why someone was not retired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetireError {
    /// Nobody has heard of it.
    #[error("nobody of that name is registered")]
    Unknown,
    /// It speaks.
    #[error("it is {0}")]
    Alive(&'static str),
    /// It is the one that was asked.
    #[error("a publisher cannot retire itself")]
    Myself,
    /// The board did not take it in time; it may have, all the same.
    #[error("the board of publishers does not take it: {0}")]
    Unavailable(String),
    /// It stands on the board; here it could not be kept.
    #[error("it stands on the board, and could not be stored here")]
    Store(#[from] StoreError),
}

impl TrackerHandle {
    /// Every agent that is registered or retired.
    pub(crate) fn agent_summaries(&self) -> Vec<AgentSummary> {
        self.0.tracker.lock().agent_summaries(self.0.clock.now())
    }

    /// Every publisher that was heard or announced.
    pub(crate) fn publisher_summaries(&self) -> Vec<PublisherSummary> {
        self.0.tracker.lock().publisher_summaries(self.0.clock.now())
    }

    /// One publisher.
    pub(crate) fn publisher(&self, name: &PublisherName) -> Option<PublisherSummary> {
        self.0.tracker.lock().publisher(name, self.0.clock.now())
    }

    /// Says that an agent is gone for good; one that is alive only `by_force`, and its next report registers it again.
    pub(crate) async fn retire_agent(
        &self,
        name: &AgentName,
        by_force: bool,
    ) -> Result<AgentSummary, RetireError> {
        let now = self.0.clock.now();
        let retirement = {
            let tracker = self.0.tracker.lock();
            let state = tracker.agent(name, now).ok_or(RetireError::Unknown)?.state;
            let silent = matches!(state, AgentState::Gone | AgentState::Retired);
            if !silent && !by_force {
                return Err(RetireError::Alive(state.as_str()));
            }
            tracker.agent_retirement(name, &tracker.name, now).ok_or(RetireError::Unknown)?
        };
        self.0.retire(retirement).await?;
        self.0.tracker.lock().agent(name, now).ok_or(RetireError::Unknown)
    }

    /// Says that a publisher is gone for good; `read` is what the log has shown of it last.
    pub(crate) async fn retire_publisher(
        &self,
        name: &PublisherName,
        read: &BTreeMap<LineId, Head>,
        by_force: bool,
    ) -> Result<PublisherSummary, RetireError> {
        self.may_retire_publisher(name, by_force)?;
        let now = self.0.clock.now();
        let retirement = self.0.tracker.lock().publisher_retirement(name, read, now);
        self.0.retire(retirement.ok_or(RetireError::Unknown)?).await?;
        self.publisher(name).ok_or(RetireError::Unknown)
    }

    /// What publishers retired since then would still say each second: the last numbers of their lines.
    pub(crate) fn heads_of_retired(
        &self,
        since: Timestamp,
    ) -> BTreeMap<Stream, Vec<(LineId, Number)>> {
        self.0.tracker.lock().heads_of_retired(since)
    }

    /// Whether [`Self::retire_publisher`] would.
    pub(crate) fn may_retire_publisher(
        &self,
        name: &PublisherName,
        by_force: bool,
    ) -> Result<PublisherSummary, RetireError> {
        if *name == self.0.tracker.lock().name {
            return Err(RetireError::Myself);
        }
        let publisher = self.publisher(name).ok_or(RetireError::Unknown)?;
        match publisher.state {
            PublisherState::Live if !by_force => Err(RetireError::Alive(publisher.state.as_str())),
            _ => Ok(publisher),
        }
    }
}

impl Shared {
    async fn retire(&self, retirement: Retirement) -> Result<(), RetireError> {
        let message = BoardMessage::Retirement(retirement.clone());
        self.say(&message).await.map_err(RetireError::Unavailable)?;
        warn!(who = message.key(), "retired: gone for good, a human says");
        self.tracker.lock().retirement(retirement, self.clock.now());
        self.folded.send_replace(());
        Ok(self.store(false, false).await?)
    }

    /// Says it on its board; answers why the board did not take it in time, though it may have all the same.
    pub(super) async fn say(&self, message: &BoardMessage) -> Result<(), String> {
        let board = Topic::board(message.board());
        let body = wire::encode_board(message);
        let message = Message { key: Some(message.key()), id: None, body };
        let published = self.broker.publish(board, Partition::default(), vec![message]);
        match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error_chain(&error)),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }
}
