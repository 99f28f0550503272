//! When which page reached an edge.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::tests::record;
use agent::driver::Batch;
use parking_lot::Mutex;
use schemas::{Number, Selector};
use tokio::time::Instant;

use crate::beat::Beat;

/// What an edge was told. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    pages: HashMap<Number, Instant>,
    flushed: Vec<Instant>,
}

/// Pages that were published at their times.
#[derive(Debug)]
pub(super) struct Part {
    /// The number of the first.
    pub(super) first: Number,
    /// When each was meant to leave.
    pub(super) beat: Beat,
}

impl Applied {
    /// A page is there by now.
    pub(super) fn note(&self, page: Number) {
        self.0.lock().pages.entry(page).or_insert_with(Instant::now);
    }

    /// A batch was purged.
    pub(super) fn note_all(&self, batch: &Batch) {
        for purge in &batch.purges {
            if let Selector::Everything = purge.selector {
                self.note_flush();
            } else if let Some(page) = record::number(&purge.selector) {
                self.note(page);
            }
        }
    }

    /// The cache is empty by now.
    fn note_flush(&self) {
        self.0.lock().flushed.push(Instant::now());
    }

    /// How often the cache was emptied.
    pub(super) fn flushes(&self) -> usize {
        self.0.lock().flushed.len()
    }

    /// From when each page was meant to leave until it was here; `None` for one that never was.
    pub(super) fn latencies(&self, part: &Part) -> Vec<Option<Duration>> {
        let told = self.0.lock();
        let latency = |number: Number| {
            let due = part.beat.due(number);
            let flushed = || told.flushed.iter().find(|flushed| **flushed >= due);
            let at = told.pages.get(&(part.first + number)).or_else(flushed)?;
            Some(at.saturating_duration_since(due))
        };
        (0..part.beat.count()).map(latency).collect()
    }

    /// Whether everything is here.
    pub(super) fn has_all(&self, part: &Part) -> bool {
        self.latencies(part).iter().all(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_counts_from_when_it_was_meant_to_leave_and_the_first_time_it_comes() {
        let (applied, second) = (Applied::default(), Duration::from_secs(1));
        let part = Part { first: 40, beat: Beat::new(1, second * 3) };
        tokio::time::advance(second * 2).await;
        applied.note(41);
        tokio::time::advance(second).await;
        applied.note(41);
        assert_eq!(applied.latencies(&part), [None, Some(second), None]);
        assert!(!applied.has_all(&part));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_answers_for_what_was_published_before_it() {
        let (applied, second) = (Applied::default(), Duration::from_secs(1));
        let part = Part { first: 0, beat: Beat::new(1, second * 3) };
        tokio::time::advance(second).await;
        applied.note_flush();
        assert_eq!(applied.latencies(&part), [Some(second), Some(Duration::ZERO), None]);
    }
}
