//! How far an invalidation has come, whichever publisher accepted it.

use std::sync::Arc;
use std::time::Duration;

use schemas::api::Progress;
use tokio::time::Instant;
use uuid::Uuid;

use super::PublisherHandle;
use crate::journal::JournalError;
use crate::search::{Found, SearchError};
use crate::tracker::Until;

/// What another publisher accepted is judged once the boards have been read: who owes it is told there.
pub(super) const BOARDS_WITHIN: Duration = Duration::from_secs(3);

/// Why it is not known how far an invalidation has come.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// It is not in this journal, and whether it is on the log is not known yet: ask again.
    #[error("it is not in this publisher's journal, and {why}")]
    Undecided {
        /// What keeps from knowing.
        why: &'static str,
        /// Its cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl PublisherHandle {
    /// How far an invalidation has come; `None` if neither the journal nor the log has it, or not any more.
    pub async fn progress(&self, id: Uuid) -> Result<Option<Progress>, StatusError> {
        let Some(Found { place, invalidation }) = self.find(id).await? else { return Ok(None) };
        let replays = self.0.journal.replays_of(id).await?;
        Ok(Some(Progress { replays, ..self.0.tracker.progress(place, &invalidation) }))
    }

    /// Its progress once it has come as far as `until`, is blocked, `patience` is over, or the publisher stops.
    pub async fn wait(
        &self,
        id: Uuid,
        until: Until,
        patience: Duration,
    ) -> Result<Option<Progress>, StatusError> {
        let Some(Found { place, invalidation }) = self.find(id).await? else { return Ok(None) };
        let deadline = Instant::now() + patience;
        let tracker = &self.0.tracker;
        Ok(Some(tokio::select! {
            progress = tracker.wait(place, &invalidation, until, deadline) => progress,
            () = self.0.leaving.requested() => tracker.progress(place, &invalidation),
        }))
    }

    /// The invalidation of that id.
    pub(super) async fn find(&self, id: Uuid) -> Result<Option<Found>, StatusError> {
        if let Some((place, invalidation)) = self.0.journal.find(id).await? {
            return Ok(Some(Found { place, invalidation: Arc::new(invalidation) }));
        }
        let Some(searcher) = &self.0.searcher else { return Ok(None) };
        let found = searcher.find(id).await?;
        if found.is_some() && !self.0.tracker.caught_up(BOARDS_WITHIN).await {
            return Err(StatusError::boards_unread());
        }
        Ok(found)
    }
}

impl StatusError {
    pub(super) fn boards_unread() -> Self {
        let why = "who owes it is not known yet: the boards have not been read";
        Self::Undecided { why, source: None }
    }
}

impl From<SearchError> for StatusError {
    fn from(error: SearchError) -> Self {
        let why = match error {
            SearchError::Undecided => "the log since then is longer than could be read in time",
            SearchError::Broker(_) => "the log cannot be read",
        };
        Self::Undecided { why, source: Some(error.into()) }
    }
}
