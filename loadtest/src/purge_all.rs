//! An agent in this process that purges one cache of all that a log names, and what it has purged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::tests::record;
use agent::driver::Batch;
use agent::{Agent, BatchConfig, LaneConfig, OpenDriver};
use anyhow::{Context as _, ensure};
use broker_adapter::Broker;
use daemon::Stop;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::edge::edge;
use crate::noted::noted;
use crate::raw::Reading;

/// Longest time without a new number.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was purged: each number once, or more often.
#[derive(Debug)]
pub(crate) struct Tally {
    state: Mutex<State>,
    /// Nothing more is to come, or what came was wrong. To be woken by each batch would cost what is measured.
    over: Notify,
}

#[derive(Debug)]
struct State {
    seen: Vec<bool>,
    distinct: u64,
    repeated: u64,
    first: Option<(Instant, u64)>,
    last: Option<Instant>,
}

impl Tally {
    /// Expects the numbers 1 to `count`.
    pub(crate) fn new(count: u64) -> Self {
        let seen = vec![false; usize::try_from(count).unwrap_or(usize::MAX)];
        let state = State { seen, distinct: 0, repeated: 0, first: None, last: None };
        Self { state: Mutex::new(state), over: Notify::new() }
    }

    fn note(&self, batch: &Batch) {
        let now = Instant::now();
        let mut state = self.state.lock();
        for purge in &batch.purges {
            let number = record::number(&purge.selector);
            let place = number.and_then(|number| usize::try_from(number.checked_sub(1)?).ok());
            match place.and_then(|place| state.seen.get_mut(place)) {
                Some(seen) if !*seen => {
                    *seen = true;
                    state.distinct += 1;
                }
                _ => state.repeated += 1,
            }
        }
        let distinct = state.distinct;
        state.first.get_or_insert((now, distinct));
        state.last = Some(now);
        if state.is_whole() || state.repeated > 0 {
            self.over.notify_one();
        }
    }

    /// Waits until every number was purged; answers what came after the first batch.
    pub(crate) async fn all(&self) -> anyhow::Result<Reading> {
        let mut known = 0;
        while timeout(PATIENCE, self.over.notified()).await.is_err() {
            let distinct = self.state.lock().distinct;
            ensure!(distinct > known, "it hangs after {distinct} numbers");
            known = distinct;
        }
        self.reading()
    }

    fn reading(&self) -> anyhow::Result<Reading> {
        let state = self.state.lock();
        ensure!(state.repeated == 0, "{} numbers came twice, or are none", state.repeated);
        let (first, early) = state.first.context("nothing was purged")?;
        let last = state.last.context("nothing was purged")?;
        Ok(Reading { messages: state.distinct - early, took: last.duration_since(first) })
    }
}

impl State {
    fn is_whole(&self) -> bool {
        usize::try_from(self.distinct) == Ok(self.seen.len())
    }
}

/// Runs an agent that purges the cache that `open` leads to of what a log of `count` numbers names, from its oldest
/// message on, until every number was purged. There are no later passes.
pub(crate) async fn purge_all(
    broker: Arc<dyn Broker>,
    state: &Path,
    count: u64,
    batch: BatchConfig,
    open: OpenDriver,
) -> anyhow::Result<Reading> {
    let tally = Arc::new(Tally::new(count));
    let told = tally.clone();
    let open: OpenDriver = Arc::new(move |surroundings| {
        let told = told.clone();
        noted(open(surroundings), move |batch| told.note(batch))
    });
    // A shared cache is never flushed: what the log holds is purged again instead.
    let lane = LaneConfig { shared: true, batch, ..LaneConfig::default() };
    let setup = edge("edge-1", state, lane, open, broker)?;
    let metrics = setup.metrics.clone();
    let agent = Agent::open(setup)?;
    let stop = Stop::new();
    let until_all = async {
        let reading = tally.all().await;
        stop.request();
        reading
    };
    let (ended, reading) = tokio::join!(agent.run(stop.clone()), until_all);
    ended?;
    let settled = settled(&metrics.lock())?;
    ensure!(settled == count, "{settled} of {count} numbers are settled as purged");
    reading
}

/// Numbers that the lanes say they have settled by purging.
fn settled(metrics: &Registry) -> anyhow::Result<u64> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, metrics)?;
    let settled = text.lines().filter(|line| line.starts_with("purgebus_settled_total{"));
    let purged = settled.filter(|line| line.contains("outcome=\"purged\""));
    Ok(purged.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use agent::driver::Purge;
    use schemas::{LineId, Mode};

    use super::*;

    fn batch(first: u64, count: u64) -> Batch {
        let frame = record::frame(LineId::from_bytes([1; 16]), first, count);
        let selectors = frame.invalidations.into_iter().flat_map(|one| one.selectors);
        let purge = |selector| Purge::new("main".parse().expect("a name"), selector, Mode::Hard);
        Batch { purges: selectors.map(purge).collect() }
    }

    #[tokio::test(start_paused = true)]
    async fn all_is_all_and_the_first_batch_does_not_count() {
        let tally = Tally::new(5);
        tally.note(&batch(1, 2));
        assert!(timeout(Duration::ZERO, tally.all()).await.is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        tally.note(&batch(3, 3));
        let reading = tally.all().await.expect("all");
        assert_eq!((reading.messages, reading.took), (3, Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_comes_twice_or_was_never_published_is_an_error() {
        for wrong in [batch(1, 1), batch(9, 1)] {
            let tally = Tally::new(2);
            tally.note(&batch(1, 1));
            tally.note(&wrong);
            assert!(tally.all().await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_never_comes_is_an_error() {
        let tally = Tally::new(2);
        tally.note(&batch(1, 1));
        assert!(tally.all().await.is_err());
    }
}
