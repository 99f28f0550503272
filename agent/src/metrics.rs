//! Names and labels of the agent's metrics. Labels are bounded sets: caches, priorities, outcomes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use schemas::{CacheName, LaneReport, Outcome, OutcomeCounts, Priority};

use crate::machine::Sizes;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    cache: String,
    priority: &'static str,
}

impl LaneLabels {
    fn of(cache: &CacheName, priority: Priority) -> Self {
        Self { cache: cache.to_string(), priority: priority.as_str() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    cache: String,
    priority: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cache: String,
    priority: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ParkedLabels {
    cache: String,
    priority: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of an agent. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    settled: Family<OutcomeLabels, Counter>,
    flushes: Family<CauseLabels, Counter>,
    relapses: Family<CauseLabels, Counter>,
    lag: Family<LaneLabels, Gauge>,
    oldest: Family<LaneLabels, Seconds>,
    unsettled: Family<LaneLabels, Gauge>,
    rebounds: Family<LaneLabels, Gauge>,
    deferred: Family<LaneLabels, Gauge>,
    rereads: Family<LaneLabels, Counter>,
    full: Family<LaneLabels, Gauge>,
    held: Family<LaneLabels, Gauge>,
    paused: Family<LaneLabels, Gauge>,
    holes: Family<LaneLabels, Gauge>,
    circuit: Family<LaneLabels, Gauge>,
    retries: Family<LaneLabels, Counter>,
    parked: Family<ParkedLabels, Counter>,
    parked_of_board: Family<ReasonLabels, Counter>,
    searches: Family<LaneLabels, Counter>,
    lines: Family<LaneLabels, Gauge>,
    dead_letters: Family<LaneLabels, Gauge>,
    purge: Family<LaneLabels, Histogram, fn() -> Histogram>,
    batch: Family<LaneLabels, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// Registered under their public names.
    pub(crate) fn register(registry: &Arc<Mutex<Registry>>) -> Self {
        let metrics = Self {
            settled: Family::default(),
            flushes: Family::default(),
            relapses: Family::default(),
            lag: Family::default(),
            oldest: Family::default(),
            unsettled: Family::default(),
            rebounds: Family::default(),
            deferred: Family::default(),
            rereads: Family::default(),
            full: Family::default(),
            held: Family::default(),
            paused: Family::default(),
            holes: Family::default(),
            circuit: Family::default(),
            retries: Family::default(),
            parked: Family::default(),
            parked_of_board: Family::default(),
            searches: Family::default(),
            lines: Family::default(),
            dead_letters: Family::default(),
            purge: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
            }),
            batch: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1.0, 2.0, 11))
            }),
        };
        metrics.name(&mut registry.lock());
        metrics
    }

    fn name(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("purgebus");
        let Self { settled, flushes, lag, oldest, unsettled, rebounds, full, .. } = self.clone();
        registry.register("settled", "Numbers settled, by outcome", settled);
        registry.register("flushes", "Flushes begun, by cause", flushes);
        registry.register("lag_numbers", "Numbers known and not settled", lag);
        let help = "Age of the oldest number heard and not settled";
        registry.register("oldest_unsettled_seconds", help, oldest);
        registry.register("unsettled", "Numbers heard and not settled", unsettled);
        registry.register("rebounds_waiting", "Selectors that wait for a later pass", rebounds);
        registry.register("lane_full", "1 while the lane reads nothing more", full);
        let help = "1 while a flush waits for a human to order it";
        registry.register("flush_held", help, self.held.clone());
        let help = "1 while purges wait because a human says so";
        registry.register("paused", help, self.paused.clone());
        let Self { searches, lines, relapses, .. } = self.clone();
        let help = "Caches that were found to have lost what was done there, by what they hold";
        registry.register("relapses", help, relapses);
        let Self { deferred, rereads, .. } = self.clone();
        let help = "Numbers of which the log is read again for their later passes";
        registry.register("rebounds_deferred", help, deferred);
        let help = "Stretches of the log read again for a later pass";
        registry.register("rereads", help, rereads);
        let help = "Searches of the log for what seemed to be missing";
        registry.register("lookups", help, searches);
        registry.register("lane_lines", "Lines that the lane knows", lines);
        let Self { holes, circuit, retries, parked, dead_letters, purge, batch, .. } = self.clone();
        registry.register("lane_holes", "Ranges of numbers missing beyond the grace", holes);
        registry.register("circuit_open", "1 while the cache is known not to work", circuit);
        registry.register("retries", "Batches that failed and were tried again", retries);
        registry.register("parked", "Messages of the log not understood, by reason", parked);
        let help = "Messages of the publishers' board not understood, by reason";
        registry.register("board_parked", help, self.parked_of_board.clone());
        let help = "Selectors that the healthy cache refused, and nobody has decided upon";
        registry.register("dead_letters", help, dead_letters);
        registry.register("purge_seconds", "Time the cache took for a batch", purge);
        registry.register("batch_selectors", "Selectors in a batch", batch);
    }

    /// No lane of that cache is at work: nothing is left that is true of one only then.
    pub(crate) fn forget(&self, cache: &CacheName) {
        let Self { lag, unsettled, rebounds, deferred, full, held, holes, circuit, .. } = self;
        let Self { lines, dead_letters, paused, .. } = self;
        for priority in Priority::ALL {
            let lane = LaneLabels::of(cache, priority);
            self.oldest.remove(&lane);
            for gauges in [
                lag,
                unsettled,
                rebounds,
                deferred,
                full,
                held,
                paused,
                holes,
                circuit,
                lines,
                dead_letters,
            ] {
                gauges.remove(&lane);
            }
        }
    }

    /// A message of the publishers' board was not understood, or not believed.
    pub(crate) fn parked_of_board(&self, reason: &'static str) {
        self.parked_of_board.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// The metrics of one lane.
    pub(crate) fn of_lane(&self, cache: &CacheName, priority: Priority) -> LaneMetrics {
        let labels = LaneLabels::of(cache, priority);
        LaneMetrics { all: self.clone(), labels, counted: OutcomeCounts::default() }
    }
}

/// The metrics of one lane.
#[derive(Debug)]
pub(crate) struct LaneMetrics {
    all: Metrics,
    labels: LaneLabels,
    counted: OutcomeCounts,
}

impl LaneMetrics {
    /// A batch was answered.
    pub(crate) fn purged(&self, selectors: usize, seconds: f64, retry: bool) {
        self.all.purge.get_or_create(&self.labels).observe(seconds);
        #[expect(clippy::cast_precision_loss, reason = "batches are small")]
        self.all.batch.get_or_create(&self.labels).observe(selectors as f64);
        self.all.retries.get_or_create(&self.labels).inc_by(u64::from(retry));
    }

    /// A message of the log was not understood, or not fit to be heard.
    pub(crate) fn parked(&self, reason: &'static str) {
        let LaneLabels { cache, priority } = self.labels.clone();
        self.all.parked.get_or_create(&ParkedLabels { cache, priority, reason }).inc();
    }

    /// The log is searched for what seems to be missing.
    pub(crate) fn searched(&self) {
        self.all.searches.get_or_create(&self.labels).inc();
    }

    /// A stretch of the log is read again for a later pass.
    pub(crate) fn read_again(&self) {
        self.all.rereads.get_or_create(&self.labels).inc();
    }

    /// A flush has begun.
    pub(crate) fn flushed(&self, cause: &'static str) {
        let LaneLabels { cache, priority } = self.labels.clone();
        self.all.flushes.get_or_create(&CauseLabels { cache, priority, cause }).inc();
    }

    /// The cache has lost what was done there; its cursor is older, missing or undecodable.
    pub(crate) fn relapsed(&self, cause: &'static str) {
        let LaneLabels { cache, priority } = self.labels.clone();
        self.all.relapses.get_or_create(&CauseLabels { cache, priority, cause }).inc();
    }

    /// The lane as it is now.
    pub(crate) fn show(&mut self, report: &LaneReport, sizes: Sizes) {
        for outcome in Outcome::ALL {
            let new = report.outcomes.of(outcome).saturating_sub(self.counted.of(outcome));
            if new > 0 {
                let LaneLabels { cache, priority } = self.labels.clone();
                let labels = OutcomeLabels { cache, priority, outcome: outcome.as_str() };
                self.all.settled.get_or_create(&labels).inc_by(new);
            }
        }
        self.counted = report.outcomes;
        let holes = report.lines.iter().map(|line| line.holes.len()).sum::<usize>();
        let open = report.circuit == schemas::CircuitState::Open;
        #[expect(clippy::cast_precision_loss, reason = "an age for humans")]
        let oldest = report.oldest_unsettled_us.unwrap_or(0) as f64 / 1e6;
        let set = |family: &Family<LaneLabels, Gauge>, value: u64| {
            family.get_or_create(&self.labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.all.lag, report.lag);
        set(&self.all.unsettled, sizes.unsettled as u64);
        set(&self.all.rebounds, sizes.rebounds as u64);
        set(&self.all.deferred, sizes.deferred);
        set(&self.all.full, u64::from(sizes.full));
        set(&self.all.held, u64::from(sizes.held));
        set(&self.all.paused, u64::from(!report.paused.is_empty()));
        set(&self.all.holes, holes as u64);
        set(&self.all.lines, report.lines.len() as u64);
        set(&self.all.dead_letters, sizes.dead_letters as u64);
        set(&self.all.circuit, u64::from(open));
        self.all.oldest.get_or_create(&self.labels).set(oldest);
    }
}
