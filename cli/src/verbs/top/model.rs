//! Folds one round of answers after the other into what is shown. Pure.

mod changes;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use schemas::api::{CacheSummary, DeadLetterPage, Latency, RegionSummary};
use schemas::{AgentName, CacheName, CircuitState, Priority, Region};

use super::answers::Answers;
use super::meter::Meter;
use super::snapshot::{CacheRow, Change, RegionRow, Snapshot, Whole};

/// Most of a history that is shown.
const HISTORY_MAX: usize = 60;
/// Most changes that are remembered.
const CHANGES_MAX: usize = 50;

type Lane = (AgentName, CacheName, Priority);

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Model {
    known: Snapshot,
    answered: Option<Duration>,
    whole: History,
    regions: BTreeMap<Region, (Meter, History)>,
    lanes: BTreeMap<Lane, Meter>,
    changes: VecDeque<Change>,
}

/// The latest values of something, oldest first.
#[derive(Debug, Default)]
struct History(VecDeque<f64>);

impl History {
    fn note(&mut self, value: Option<f64>) -> Vec<f64> {
        self.0.push_back(value.unwrap_or_default());
        if self.0.len() > HISTORY_MAX {
            self.0.pop_front();
        }
        self.0.iter().copied().collect()
    }
}

impl Model {
    /// A publisher answered, at that time; `now` is monotonic.
    pub(super) fn take(&mut self, answers: Answers, at: Timestamp, now: Duration) {
        let Answers { regions, caches, latency, letters } = answers;
        let caches = self.caches(caches, now);
        let regions = self.regions(regions, &caches, &letters, now);
        let (p50_ms, p99_ms) = percentiles(latency.applied);
        let all = Whole {
            settled_per_second: sum(caches.iter().map(|lane| lane.settled_per_second)),
            p50_ms,
            p99_ms,
            p99_history_ms: self.whole.note(p99_ms),
            lag_numbers: caches.iter().map(|lane| lane.lag_numbers).max().unwrap_or(0),
            open_circuits: open(caches.iter()),
            dead_letters: letters.items.len() as u64 + letters.untold,
        };
        let dead_letters = letters.items;
        let known =
            Snapshot { at: Some(at), all, regions, caches, dead_letters, ..Snapshot::default() };
        if self.answered.is_some() {
            for change in changes::between(&self.known, &known, at) {
                self.changes.push_front(change);
            }
            self.changes.truncate(CHANGES_MAX);
        }
        self.known = known;
        self.answered = Some(now);
    }

    /// It did not, for this reason.
    pub(super) fn miss(&mut self, why: String) {
        self.known.trouble = Some(why);
    }

    /// How the bus stands, as far as is known `now`.
    pub(super) fn snapshot(&self, now: Duration) -> Snapshot {
        let age = self.answered.map(|answered| now.saturating_sub(answered).as_secs_f64());
        let changes = self.changes.iter().cloned().collect();
        Snapshot { age_seconds: age, changes, ..self.known.clone() }
    }

    fn caches(&mut self, caches: Vec<CacheSummary>, now: Duration) -> Vec<CacheRow> {
        let mut meters = std::mem::take(&mut self.lanes);
        let rows = caches.into_iter().map(|lane| {
            let name = (lane.agent.clone(), lane.cache.clone(), lane.priority);
            let mut meter = meters.remove(&name).unwrap_or_default();
            meter.look(now, lane.outcomes.values().sum());
            let settled_per_second = meter.per_second();
            self.lanes.insert(name, meter);
            CacheRow {
                region: lane.region,
                agent: lane.agent,
                cache: lane.cache,
                priority: lane.priority,
                ready: lane.ready,
                settled_per_second,
                lag_numbers: lane.lag_numbers,
                lag_seconds: lane.oldest_unsettled_seconds,
                circuit: lane.circuit,
                trouble: lane.last_error,
            }
        });
        rows.collect()
    }

    fn regions(
        &mut self,
        regions: Vec<RegionSummary>,
        caches: &[CacheRow],
        letters: &DeadLetterPage,
        now: Duration,
    ) -> Vec<RegionRow> {
        let mut kept = std::mem::take(&mut self.regions);
        let rows = regions.into_iter().map(|summary| {
            let region = summary.region;
            let (mut meter, mut history) = kept.remove(&region).unwrap_or_default();
            meter.look(now, summary.applied.since_start.count);
            let (p50_ms, p99_ms) = percentiles(summary.applied.one_minute);
            let lanes = || caches.iter().filter(|lane| lane.region == region);
            let dead = letters.items.iter().filter(|letter| letter.region == region).count();
            let row = RegionRow {
                lanes: lanes().count(),
                ready_lanes: lanes().filter(|lane| lane.ready).count(),
                applied_per_second: meter.per_second(),
                p50_ms,
                p99_ms,
                p99_history_ms: history.note(p99_ms),
                lag_numbers: summary.lag_numbers,
                lag_seconds: summary.lag_seconds,
                open_circuits: open(lanes()),
                dead_letters: dead as u64,
                region: region.clone(),
            };
            self.regions.insert(region, (meter, history));
            row
        });
        rows.collect()
    }
}

/// Median and 99th percentile, where there is anything to take them of.
fn percentiles(of: Latency) -> (Option<f64>, Option<f64>) {
    let any = of.count > 0;
    (any.then_some(of.p50_ms), any.then_some(of.p99_ms))
}

fn open<'a>(lanes: impl Iterator<Item = &'a CacheRow>) -> usize {
    lanes.filter(|lane| lane.circuit == CircuitState::Open).count()
}

fn sum(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    rates.flatten().fold(None, |sum, rate| Some(sum.unwrap_or(0.0) + rate))
}

#[cfg(test)]
mod tests;
