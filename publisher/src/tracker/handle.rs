//! Asks the tracker, and tells it what was accepted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use schemas::api::{
    CacheSummary, DryRunCache, LatencyReport, LatencyWindow, Progress, ProgressState, RegionSummary,
};
use schemas::{Invalidation, LineId, PUBLISHERS_BOARD, Place, REPORTS_BOARD, Region};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::events::EventBatch;
use super::missed::{Miss, MissedBy};
use super::shell::Shared;

/// How often whoever waits looks again though no report came: agents may be gone by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How far a waiter wants an invalidation to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Until {
    /// Every cache that owes it has purged it.
    Applied,
    /// Its last pass is done too.
    Final,
}

/// Asks the tracker, and tells it what was accepted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrackerHandle(pub(super) Arc<Shared>);

impl TrackerHandle {
    /// This publisher accepted `invalidation` at `place`: to be called in the order of numbers, per line.
    pub(crate) fn accepted(&self, place: Place, invalidation: &Invalidation) {
        self.0.tracker.lock().accepted(place, invalidation);
        self.0.wake_listeners();
    }

    /// At most `max` events from a number on.
    pub(crate) fn events_from(&self, from: u64, max: usize) -> EventBatch {
        self.0.tracker.lock().events_from(from, max)
    }

    /// The number of the next event.
    pub(crate) fn next_event(&self) -> u64 {
        self.0.tracker.lock().next_event()
    }

    /// Tells the numbers of this life's events from those of others.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Changes with every event from now on.
    pub(crate) fn happened(&self) -> watch::Receiver<()> {
        self.0.happened.subscribe()
    }

    /// Whether the publisher of that line is gone for good.
    pub(crate) fn is_retired(&self, line: LineId) -> bool {
        self.0.tracker.lock().publishers.is_retired_line(line)
    }

    /// How far the invalidation at `place` has come.
    pub(crate) fn progress(&self, place: Place, invalidation: &Invalidation) -> Progress {
        self.0.tracker.lock().progress(place, invalidation, self.0.clock.now())
    }

    /// Which of these were missed, in their order.
    pub(crate) fn missed<'a>(
        &self,
        invalidations: impl IntoIterator<Item = (Place, &'a Invalidation)>,
        by: &MissedBy,
    ) -> Vec<Miss> {
        let tracker = self.0.tracker.lock();
        let invalidations = invalidations.into_iter();
        invalidations.map(|(place, invalidation)| tracker.missed(place, invalidation, by)).collect()
    }

    /// How many agents are registered.
    pub(crate) fn agents(&self) -> u32 {
        self.0.tracker.lock().agents()
    }

    /// One row per region.
    pub(crate) fn regions(&self) -> Vec<RegionSummary> {
        self.0.tracker.lock().regions(self.0.clock.now())
    }

    /// The names of those regions.
    pub(crate) fn known_regions(&self) -> Arc<BTreeSet<Region>> {
        self.0.tracker.lock().known_regions()
    }

    /// One row per lane.
    pub(crate) fn caches(&self) -> Vec<CacheSummary> {
        self.0.tracker.lock().caches(self.0.clock.now())
    }

    /// How long purges took, of one region or of all.
    pub(crate) fn latency(&self, region: Option<Region>, window: LatencyWindow) -> LatencyReport {
        self.0.tracker.lock().latency(region, window, self.0.clock.now())
    }

    /// Whether this publisher numbers, or numbered, that line.
    pub(crate) fn is_own(&self, line: LineId) -> bool {
        self.0.tracker.lock().is_own(line)
    }

    /// Waits at most `patience` until the boards have been read once; answers whether they have.
    pub(crate) async fn caught_up(&self, patience: Duration) -> bool {
        let mut caught_up = self.0.caught_up.subscribe();
        let both = |boards: &BTreeSet<&str>| {
            boards.contains(REPORTS_BOARD) && boards.contains(PUBLISHERS_BOARD)
        };
        matches!(timeout(patience, caught_up.wait_for(both)).await, Ok(Ok(_)))
    }

    /// What each cache would do with `invalidation`.
    pub(crate) fn dry_run(&self, invalidation: &Invalidation) -> Vec<DryRunCache> {
        self.0.tracker.lock().dry_run(invalidation)
    }

    /// Its progress once it has come as far as `until`, is blocked, or `deadline` has passed. Cancel-safe.
    pub(crate) async fn wait(
        &self,
        place: Place,
        invalidation: &Invalidation,
        until: Until,
        deadline: Instant,
    ) -> Progress {
        let mut folded = self.0.folded.subscribe();
        loop {
            folded.borrow_and_update();
            let progress = self.progress(place, invalidation);
            let now = Instant::now();
            if until.reached(progress.state) || now >= deadline {
                return progress;
            }
            let look_again = deadline.min(now + LOOK_AGAIN);
            // The sender lives in `self`: either a report came, or it is time to look again.
            timeout_at(look_again, folded.changed()).await.ok();
        }
    }
}

impl Until {
    fn reached(self, state: ProgressState) -> bool {
        match state {
            ProgressState::Final | ProgressState::Blocked => true,
            ProgressState::Applied => self == Self::Applied,
            ProgressState::Published | ProgressState::NoAgents => false,
        }
    }
}
