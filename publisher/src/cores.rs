//! The pure part that every report passes, for the benchmarks of `loadtest`; no part of what this crate offers.

use std::sync::Arc;

use jiff::Timestamp;
use schemas::{Invalidation, Place, Report, Sites};

use crate::tracker::Tracker;

/// The books of a publisher.
#[derive(Debug)]
pub struct Tracked(Tracker);

impl Tracked {
    /// Nobody is known yet.
    pub fn new(sites: Arc<Sites>, now: Timestamp) -> Self {
        Self(Tracker::new("publisher-1".parse().expect("a name"), sites, now))
    }

    /// `invalidation` was accepted here, in the order of numbers.
    pub fn accepted(&mut self, place: Place, invalidation: &Invalidation) {
        self.0.accepted(place, invalidation);
    }

    /// An agent reports.
    pub fn report(&mut self, report: Report, at: Timestamp) {
        self.0.report(report, at);
    }

    /// How many agents are known.
    pub fn agents(&self) -> u32 {
        self.0.agents()
    }
}
