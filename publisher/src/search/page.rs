//! What other publishers accepted lately, newest first, as far as the log tells.
//!
//! A log is read forwards, so wider and wider windows are read until one holds enough.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use schemas::{Invalidation, LogMessage, Number, Place, Priority};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::filter::first_id;
use super::{Found, SEARCH_WITHIN, SLACKS, SearchError, Searcher, later, read_on};

/// How far back is read, first for the likely; the last is longer than a log is kept.
const WINDOWS: [SignedDuration; 3] = [
    SignedDuration::from_secs(10),
    SignedDuration::from_mins(10),
    SignedDuration::from_hours(8760),
];

/// The newest that fit.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// By id.
    pub(crate) found: BTreeMap<u128, Found>,
    /// Below this id there may be more.
    pub(crate) complete_from: Option<u128>,
}

impl Newest {
    /// Keeps the newest `limit`.
    fn keep(&mut self, id: Uuid, found: Found, limit: usize) {
        self.found.insert(id.as_u128(), found);
        if self.found.len() > limit {
            self.found.pop_first();
            self.complete_from = self.found.keys().next().copied();
        }
    }
}

impl Searcher {
    /// The newest of these ids that fit, at most `limit`.
    pub(crate) async fn newest(
        &self,
        ids: Range<u128>,
        limit: usize,
        fits: impl Fn(Place, &Invalidation) -> bool,
    ) -> Result<Newest, SearchError> {
        let deadline = Instant::now() + SEARCH_WITHIN;
        let turn = timeout_at(deadline, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| SearchError::Undecided)?;
        let now = self.clock.now();
        let newest = time_of_bits(ids.end).unwrap_or(now).min(later(now, SLACKS[1]));
        let mut known = None;
        for (window, last) in WINDOWS.into_iter().zip([false, false, true]) {
            let start = u64::try_from(later(newest, -window).as_millisecond()).unwrap_or(0);
            let start = first_id(i64::try_from(start).unwrap_or(i64::MAX)).max(ids.start);
            match self.newest_of(start..ids.end, limit, deadline, &fits).await {
                Ok(mut page) => {
                    let all = last || start == ids.start;
                    let full = page.complete_from.is_some();
                    page.complete_from = page.complete_from.or((!all).then_some(start));
                    known = Some(page);
                    if all || full {
                        break;
                    }
                }
                Err(SearchError::Undecided) if known.is_some() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(known.unwrap_or_default())
    }

    async fn newest_of(
        &self,
        ids: Range<u128>,
        limit: usize,
        deadline: Instant,
        fits: &impl Fn(Place, &Invalidation) -> bool,
    ) -> Result<Newest, SearchError> {
        let newest = Mutex::new(Newest::default());
        let look = |message: LogMessage, _| {
            let LogMessage::Frame(frame) = message else { return ControlFlow::<()>::Continue(()) };
            for (number, invalidation) in (frame.first..).zip(frame.invalidations) {
                let (id, number): (Uuid, Number) = (invalidation.id, number);
                let place = Place { line: frame.line, number };
                if ids.contains(&id.as_u128()) && fits(place, &invalidation) {
                    let found = Found { place, invalidation: Arc::new(invalidation) };
                    newest.lock().keep(id, found, limit);
                }
            }
            ControlFlow::Continue(())
        };
        let since = later(time_of_bits(ids.start).unwrap_or(Timestamp::UNIX_EPOCH), -SLACKS[0]);
        let until = time_of_bits(ids.end).map_or(Timestamp::MAX, |end| later(end, SLACKS[1]));
        let [critical, normal] = Priority::ALL.map(|priority| {
            Box::pin(read_on(self.broker.as_ref(), priority, since..until, deadline, look))
        });
        tokio::try_join!(critical, normal)?;
        Ok(newest.into_inner())
    }
}

/// The time in the bits of an id, or of a bound between ids.
fn time_of_bits(bits: u128) -> Option<Timestamp> {
    let millisecond = i64::try_from(bits >> 80).ok()?;
    Timestamp::from_millisecond(millisecond).ok()
}
