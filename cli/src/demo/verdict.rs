//! What the demo has shown: figures per region, and what the oracle found.

use schemas::api::RegionSummary;
use serde::Serialize;

use crate::oracle::Reads;

use super::region::Place;
use crate::exit::Failure;
use crate::output::{self, dash, milliseconds};

/// One cache that was read.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlaceVerdict {
    /// Its region, or `naive`.
    pub(crate) place: String,
    /// Its name there.
    pub(crate) cache: String,
    /// How many invalidations the bus has purged here; none where it has no part in it.
    pub(crate) purged: Option<u64>,
    /// Reads whose version was checked.
    pub(crate) reads_checked: u64,
    /// Of them old, before the purge was final.
    pub(crate) late: u64,
    /// Of them old, after it was final.
    pub(crate) stale_after_final: u64,
    /// Pages that are old at the end, once all is quiet.
    pub(crate) pages_left_old: usize,
}

impl PlaceVerdict {
    /// Of one cache.
    pub(crate) fn new(
        place: &Place,
        purged: Option<u64>,
        reads: Reads,
        pages_left_old: usize,
    ) -> Self {
        Self {
            place: place.region.clone(),
            cache: place.cache.clone(),
            purged,
            reads_checked: reads.checked,
            late: reads.late,
            stale_after_final: reads.stale,
            pages_left_old,
        }
    }
}

/// Latency of one region from accepted to applied, on the publisher's clock.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RegionVerdict {
    region: String,
    applied: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl From<&RegionSummary> for RegionVerdict {
    fn from(summary: &RegionSummary) -> Self {
        let applied = summary.applied.since_start;
        Self {
            region: summary.region.to_string(),
            applied: applied.count,
            p50_ms: applied.p50_ms,
            p99_ms: applied.p99_ms,
            max_ms: applied.max_ms,
        }
    }
}

/// The whole verdict.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// Pages changed and published.
    pub(crate) changes: u64,
    /// Of them final everywhere.
    pub(crate) finished: u64,
    /// Purges that a cache of the bus has lost: pages old at the end, over all of them.
    pub(crate) lost: usize,
    /// Reads of old pages after the purge was final, over all caches of the bus.
    pub(crate) stale_after_final: u64,
    /// How fast each region was.
    pub(crate) regions: Vec<RegionVerdict>,
    /// What was read at each cache of the bus.
    pub(crate) places: Vec<PlaceVerdict>,
    /// What was read at the edge that is purged by hand, once per change.
    pub(crate) naive: PlaceVerdict,
}

impl Verdict {
    /// Whether the bus kept its promises.
    pub(crate) fn good(&self) -> bool {
        self.lost == 0 && self.stale_after_final == 0 && self.finished == self.changes
    }

    /// Says it to people.
    pub(crate) fn show(&self) -> Result<(), Failure> {
        let mut speed = output::table(["REGION", "APPLIED", "p50", "p99", "MAX"]);
        for region in &self.regions {
            speed.add_row([
                region.region.clone(),
                region.applied.to_string(),
                milliseconds(region.p50_ms),
                milliseconds(region.p99_ms),
                milliseconds(region.max_ms),
            ]);
        }
        output::show(&speed)?;
        output::line("")?;
        let mut reads = output::table([
            "READ AT",
            "CACHE",
            "PURGED",
            "CHECKED",
            "LATE",
            "STALE AFTER FINAL",
            "PAGES LEFT OLD",
        ]);
        for place in self.places.iter().chain([&self.naive]) {
            let stale = place.stale_after_final;
            reads.add_row([
                place.place.clone().into(),
                place.cache.clone().into(),
                place.purged.map_or_else(dash, |purged| purged.to_string()).into(),
                place.reads_checked.into(),
                place.late.into(),
                output::mark(stale, stale == 0),
                output::mark(place.pages_left_old, place.pages_left_old == 0),
            ]);
        }
        output::show(&reads)?;
        output::line("")?;
        output::line(format!(
            "{} changes, {} final everywhere; the bus lost {} and left {} reads stale after final.",
            self.changes, self.finished, self.lost, self.stale_after_final
        ))?;
        output::line(format!(
            "One naive purge per change left {} of its pages old, and {} reads stale.",
            self.naive.pages_left_old, self.naive.stale_after_final
        ))
    }
}
