//! The tracker at work: folds what is read, keeps its books on disk, answers and wakes whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Clock, Condition, Readiness, Stop};
use parking_lot::Mutex;
use redb::Database;
use schemars::JsonSchema;
use schemas::api::{
    CacheSummary, DryRunCache, LatencyReport, LatencyWindow, Progress, ProgressState, RegionSummary,
};
use schemas::{
    BoardMessage, Invalidation, LineId, LogMessage, PUBLISHERS_BOARD, Place, Priority,
    PublisherName, REPORTS_BOARD, Region, Sites,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use super::Tracker;
use super::boards::{HEARTBEATS, NORMAL, PUBLISHERS, REPORTS, Word};
use super::events::EventBatch;
use super::metrics::TrackerMetrics;
use super::store::{self, StoreError};

/// How often what has changed is stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// How many of those times pass until it is stored that agents were heard and said nothing new.
const HEARTBEATS_EVERY: u64 = 10;

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

/// The tracker of a publisher.
#[derive(Debug)]
pub(crate) struct Tracking {
    shared: Arc<Shared>,
    condition: Condition,
    others_publish: bool,
}

/// What a tracker needs.
#[derive(Debug)]
pub(crate) struct TrackingSetup {
    /// Where it keeps its books.
    pub(crate) database: Arc<Database>,
    /// Where the boards and the log are.
    pub(crate) broker: Arc<dyn Broker>,
    /// The publisher it belongs to.
    pub(crate) name: PublisherName,
    /// All sites of the installation.
    pub(crate) sites: Arc<Sites>,
    /// The wall clock.
    pub(crate) clock: Clock,
    /// Where it says what someone should look at.
    pub(crate) condition: Condition,
    /// Whether others publish on the log too.
    pub(crate) others_publish: bool,
}

/// Asks the tracker, and tells it what was accepted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrackerHandle(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tracker: Mutex<Tracker>,
    pub(super) database: Arc<Database>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) clock: Clock,
    /// Held while something is stored, so that changes are stored in their order.
    storing: tokio::sync::Mutex<()>,
    /// Somebody registered: stored at once, so that a crash does not forget who owes what is accepted from now on.
    registered: Notify,
    /// Changes with every report folded.
    pub(super) folded: watch::Sender<()>,
    /// Changes with every event, where somebody listens.
    happened: watch::Sender<()>,
    /// Tells the events of this life from those of others.
    epoch: u64,
    /// Boards whose first content is folded.
    caught_up: watch::Sender<BTreeSet<&'static str>>,
    /// Topics that cannot be read, and why.
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

impl Tracking {
    /// Reads the registry from the database, so that nothing is answered without it.
    pub(crate) async fn open(setup: TrackingSetup) -> Result<Self, StoreError> {
        let TrackingSetup { database, broker, name, sites, clock, condition, others_publish } =
            setup;
        let stored = blocking(&database, store::load).await?;
        let mut tracker = Tracker::new(name, sites, clock.now());
        tracker.restore(stored);
        let shared = Shared {
            tracker: Mutex::new(tracker),
            database,
            broker,
            clock,
            storing: tokio::sync::Mutex::new(()),
            registered: Notify::new(),
            folded: watch::Sender::new(()),
            happened: watch::Sender::new(()),
            epoch: fastrand::u64(..),
            caught_up: watch::Sender::default(),
            troubles: Mutex::default(),
        };
        condition.set(Readiness::Ready);
        Ok(Self { shared: Arc::new(shared), condition, others_publish })
    }

    /// Takes back the lines of this publisher's journal: one that began right before a crash is not stored here.
    pub(crate) fn resume(&self, lines: Vec<(LineId, Priority)>) {
        self.shared.tracker.lock().resume(lines, self.shared.clock.now());
    }

    /// For those who ask.
    pub(crate) fn handle(&self) -> TrackerHandle {
        TrackerHandle(Arc::clone(&self.shared))
    }

    /// Its metrics, to be registered.
    pub(crate) fn metrics(&self) -> TrackerMetrics {
        self.shared.metrics()
    }

    /// Folds what is said and stores what changes, until stopped. Fails when the disk does.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let Self { shared, condition, others_publish } = self;
        let broker = shared.broker.as_ref();
        let normal = async {
            if others_publish { NORMAL.fold(&shared, broker, &stop).await } else { Ok(()) }
        };
        tokio::try_join!(
            normal,
            REPORTS.fold(&shared, broker, &stop),
            PUBLISHERS.fold(&shared, broker, &stop),
            HEARTBEATS.fold(&shared, broker, &stop),
            store_changes(&shared, &condition, &stop),
        )?;
        Ok(())
    }
}

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

    /// How many agents are registered.
    pub(crate) fn agents(&self) -> u32 {
        self.0.tracker.lock().agents()
    }

    /// One row per region.
    pub(crate) fn regions(&self) -> Vec<RegionSummary> {
        self.0.tracker.lock().regions(self.0.clock.now())
    }

    /// The names of those regions.
    pub(crate) fn region_names(&self) -> BTreeSet<Region> {
        self.0.tracker.lock().region_names()
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

impl Shared {
    /// Folds what was read, and wakes who waits.
    pub(super) fn fold(&self, words: Vec<Word>) {
        let now = self.clock.now();
        let mut tracker = self.tracker.lock();
        let caches = tracker.cache_count();
        for word in words {
            match word {
                Word::Board(BoardMessage::Report(report)) => tracker.report(*report, now),
                Word::Stood(BoardMessage::Report(report), at) => {
                    tracker.old_report(*report, at.min(now));
                }
                Word::Board(BoardMessage::Incarnation(incarnation))
                | Word::Stood(BoardMessage::Incarnation(incarnation), _) => {
                    tracker.incarnation(incarnation);
                }
                Word::Board(BoardMessage::Retirement(retirement))
                | Word::Stood(BoardMessage::Retirement(retirement), _) => {
                    tracker.retirement(retirement, now);
                }
                Word::Log(LogMessage::Heartbeat(heartbeat)) => tracker.heartbeat(&heartbeat, now),
                Word::Log(LogMessage::Frame(frame)) => tracker.heard(&frame),
                Word::Log(LogMessage::Lost(_)) => {}
            }
        }
        if tracker.cache_count() > caches {
            self.registered.notify_one();
        }
        drop(tracker);
        self.folded.send_replace(());
        self.wake_listeners();
    }

    fn wake_listeners(&self) {
        if self.happened.receiver_count() > 0 {
            self.happened.send_replace(());
        }
    }

    /// The first content of this board is folded.
    pub(super) fn caught_up(&self, board: &'static str) {
        self.caught_up.send_modify(|boards| {
            boards.insert(board);
        });
    }

    /// Every heartbeat is heard from now on.
    pub(super) fn hears_publishers(&self) {
        self.tracker.lock().listens_to_publishers(self.clock.now());
    }

    /// Why this topic cannot be read.
    pub(super) fn in_trouble(&self, topic: &'static str, trouble: Option<String>) {
        let mut troubles = self.troubles.lock();
        match trouble {
            Some(trouble) => drop(troubles.insert(topic, trouble)),
            None => drop(troubles.remove(topic)),
        }
    }

    pub(super) fn metrics(&self) -> TrackerMetrics {
        self.tracker.lock().metrics().clone()
    }

    /// What someone should look at.
    fn readiness(&self) -> Readiness {
        let troubles = self.troubles.lock().clone();
        if let Some((topic, trouble)) = troubles.first_key_value() {
            return Readiness::Degraded(format!("the tracker cannot read {topic}: {trouble}"));
        }
        let doubled = self.tracker.lock().doubled_agents(self.clock.now());
        match doubled.first() {
            None => Readiness::Ready,
            Some(name) => Readiness::Degraded(format!(
                "two live instances report as agent {name} ({} such in all): nothing they say counts",
                doubled.len()
            )),
        }
    }
}

async fn store_changes(
    shared: &Shared,
    condition: &Condition,
    stop: &Stop,
) -> Result<(), BoxError> {
    let mut ticks = interval(STORE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1u64.. {
        let stopping = tokio::select! {
            () = stop.requested() => true,
            _ = ticks.tick() => false,
            () = shared.registered.notified() => false,
        };
        condition.set(shared.readiness());
        shared.tracker.lock().show(shared.clock.now());
        shared.wake_listeners();
        shared.store(stopping || tick.is_multiple_of(HEARTBEATS_EVERY)).await?;
        if stopping {
            break;
        }
    }
    Ok(())
}

impl Shared {
    /// Stores what has changed; on the disk when it returns.
    pub(super) async fn store(&self, with_heartbeats: bool) -> Result<(), StoreError> {
        let _alone = self.storing.lock().await;
        let unstored = self.tracker.lock().take_unstored(with_heartbeats);
        if unstored.is_empty() {
            return Ok(());
        }
        blocking(&self.database, move |database| store::save(database, &unstored)).await
    }
}

async fn blocking<T: Send + 'static>(
    database: &Arc<Database>,
    work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let database = Arc::clone(database);
    match tokio::task::spawn_blocking(move || work(&database)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Stopped),
        },
    }
}
