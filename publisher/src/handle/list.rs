//! The recent invalidations, newest first: this publisher's from its journal, others' from the log.
//!
//! A page ends where it is full, or where so much was read that somebody else should have a turn; it may then hold
//! few or none, and still say where to go on.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use schemas::api::{InvalidationSummary, Progress};
use schemas::{Invalidation, Place};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::PublisherHandle;
use super::status::{BOARDS_WITHIN, StatusError};
use crate::search::{Filter, Found, Newest};

/// Most lists in the making; others wait their turn.
pub(super) const LISTS_MAX: usize = 4;

/// Longest wait for a turn.
const TURN_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// A page of a list.
#[derive(Debug, Clone)]
pub(crate) struct ListRequest {
    /// What it is about.
    pub(crate) filter: Filter,
    /// Most rows.
    pub(crate) limit: usize,
    /// Only what was accepted before this one.
    pub(crate) before: Option<Uuid>,
}

/// Rows by id, and below which id there may be more.
type Rows = (BTreeMap<u128, InvalidationSummary>, Option<u128>);

impl PublisherHandle {
    /// A page of recent invalidations, and before which id the next page begins.
    pub(crate) async fn list(
        &self,
        request: ListRequest,
    ) -> Result<(Vec<InvalidationSummary>, Option<Uuid>), StatusError> {
        let turn = timeout_at(Instant::now() + TURN_WITHIN, self.0.lists.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let why = "others ask for lists: no turn came in time";
            return Err(StatusError::Undecided { why, source: None });
        };
        let request = Arc::new(request);
        let ids = request.filter.ids(request.before);
        let (mut rows, own_from) = self.own(Arc::clone(&request), ids.clone()).await?;
        let (others, others_from) = self.others(&request, ids).await?;
        rows.extend(others);
        let mut complete_from = own_from.max(others_from);
        if let Some(from) = complete_from {
            rows = rows.split_off(&from);
        }
        while rows.len() > request.limit {
            rows.pop_first();
            complete_from = rows.keys().next().copied();
        }
        Ok((rows.into_values().rev().collect(), complete_from.map(Uuid::from_u128)))
    }

    async fn own(&self, request: Arc<ListRequest>, ids: Range<u128>) -> Result<Rows, StatusError> {
        let publisher = self.clone();
        let look = move |rows: &mut BTreeMap<_, _>, place, invalidation: &Invalidation| {
            let row = publisher.row(&request.filter, place, invalidation);
            rows.extend(row.map(|row| (row.facts.id.as_u128(), row)));
            if rows.len() < request.limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        Ok(self.0.journal.recent(ids, BTreeMap::new(), look).await?)
    }

    async fn others(&self, request: &ListRequest, ids: Range<u128>) -> Result<Rows, StatusError> {
        let Some(searcher) = &self.0.searcher else { return Ok(Rows::default()) };
        if !self.0.tracker.caught_up(BOARDS_WITHIN).await {
            return Err(StatusError::boards_unread());
        }
        let fits = |place: Place, invalidation: &Invalidation| {
            let fits = || self.row(&request.filter, place, invalidation).is_some();
            !self.0.tracker.is_own(place.line)
                && request.filter.fits(invalidation, &self.0.sites)
                && (request.filter.state.is_none() || fits())
        };
        let Newest { found, complete_from } = searcher.newest(ids, request.limit, fits).await?;
        let row = |(id, Found { place, invalidation })| {
            Some((id, self.row(&request.filter, place, &invalidation)?))
        };
        Ok((found.into_iter().filter_map(row).collect(), complete_from))
    }

    /// Its row, if it fits.
    fn row(
        &self,
        filter: &Filter,
        place: Place,
        invalidation: &Invalidation,
    ) -> Option<InvalidationSummary> {
        if !filter.fits(invalidation, &self.0.sites) {
            return None;
        }
        let progress = self.0.tracker.progress(place, invalidation);
        let fits = filter.state.is_none_or(|state| state == progress.state);
        fits.then(|| summary(progress, invalidation))
    }
}

fn summary(progress: Progress, invalidation: &Invalidation) -> InvalidationSummary {
    let Progress { facts, state, applied_ms, final_ms, clock, missing, .. } = progress;
    InvalidationSummary {
        facts,
        state,
        applied_ms,
        final_ms,
        clock,
        missing: missing.len(),
        reason: invalidation.reason.clone(),
    }
}
