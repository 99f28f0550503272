//! Invalidations that a human cancels.

use schemas::api::{Cancelled, ProgressState};
use schemas::{Ordered, SiteName};
use uuid::Uuid;

use super::pauses::said_by;
use super::{NotOrdered, PublisherHandle, StatusError};
use crate::search::Found;

/// Why an invalidation was not cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCancelled {
    /// Nobody knows it, or the caller may not.
    #[error("there is no such invalidation")]
    Unknown,
    /// The caller may read of it and not stop it.
    #[error("the token does not allow it: {0}")]
    Forbidden(String),
    /// It is not known how it stands.
    #[error("it is not known how it stands")]
    Status(#[from] StatusError),
    /// It cannot be said.
    #[error("it cannot be ordered")]
    Order(#[from] NotOrdered),
}

impl PublisherHandle {
    /// Orders that lanes which have not begun an invalidation leave it. Of what all have settled there is nothing left
    /// to cancel.
    pub(crate) async fn cancel(
        &self,
        id: Uuid,
        by: &str,
        may: impl FnOnce(&SiteName) -> Result<(), NotCancelled>,
    ) -> Result<Cancelled, NotCancelled> {
        let Found { place, invalidation } = self.find(id).await?.ok_or(NotCancelled::Unknown)?;
        may(&invalidation.site)?;
        let progress = self.0.tracker.progress(place, &invalidation);
        if matches!(progress.state, ProgressState::Applied | ProgressState::Final) {
            return Ok(Cancelled { ordered: false, expires_at: None, progress });
        }
        let priority = invalidation.priority;
        let what = Ordered::Cancel { invalidation: id, place, priority, by: said_by(by) };
        // Of an invalidation there is but one.
        let order = self.0.tracker.order(id, what).await.map_err(NotOrdered::from)?;
        Ok(Cancelled { ordered: true, expires_at: Some(order.expires_at), progress })
    }
}
