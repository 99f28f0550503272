//! The tracker at work: reads the board of reports, keeps its books on disk, answers and wakes whoever asks.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Delivery, Start, Topic};
use daemon::{BoxError, Clock, Stop};
use parking_lot::Mutex;
use redb::Database;
use schemas::api::{CacheSummary, DryRunCache, Progress, ProgressState, RegionSummary};
use schemas::wire::decode_board;
use schemas::{BoardMessage, Invalidation, LineId, Place, Priority, REPORTS_BOARD, Report, Sites};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tracing::warn;

use super::Tracker;
use super::metrics::TrackerMetrics;
use super::store::{self, StoreError};

const BOARD: Topic = Topic::board(REPORTS_BOARD);

/// Most reports read at once.
const READ_MAX: usize = 256;

/// How long a broker that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Agents speak each second: a board silent for this long has lost us, or there is nobody.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a subscription may take to begin.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);

/// How often what has changed is stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// How many of those times pass until it is stored that agents were heard and said nothing new.
const HEARTBEATS_EVERY: u64 = 10;

/// How often whoever waits looks again though no report came: agents may be gone by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a message that was not understood is logged, at most.
const PARKED_LOGGED_EVERY: Duration = Duration::from_mins(1);

/// How far a waiter wants an invalidation to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    database: Arc<Database>,
    broker: Arc<dyn Broker>,
}

/// Asks the tracker, and tells it what was accepted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrackerHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tracker: Mutex<Tracker>,
    clock: Clock,
    /// Changes with every report folded.
    folded: watch::Sender<()>,
}

impl Tracking {
    /// Reads the registry from `database`, so that nothing is answered without it.
    pub(crate) async fn open(
        database: Arc<Database>,
        broker: Arc<dyn Broker>,
        sites: Arc<Sites>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let stored = blocking(&database, store::load).await?;
        let mut tracker = Tracker::new(sites, clock.now());
        tracker.restore(stored);
        let shared = Shared { tracker: Mutex::new(tracker), clock, folded: watch::Sender::new(()) };
        Ok(Self { shared: Arc::new(shared), database, broker })
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
        self.shared.tracker.lock().metrics().clone()
    }

    /// Folds reports and stores what changes, until stopped. Fails when the disk or the broker does for good.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let folding = fold_reports(&self.shared, self.broker.as_ref(), &stop);
        let storing = store_changes(&self.shared, &self.database, &stop);
        tokio::try_join!(folding, storing)?;
        Ok(())
    }
}

impl TrackerHandle {
    /// This publisher accepted `invalidation` at `place`: to be called in the order of numbers, per line.
    pub(crate) fn accepted(&self, place: Place, invalidation: &Invalidation) {
        self.0.tracker.lock().accepted(place, invalidation);
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

    /// One row per lane.
    pub(crate) fn caches(&self) -> Vec<CacheSummary> {
        self.0.tracker.lock().caches(self.0.clock.now())
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

async fn fold_reports(shared: &Shared, broker: &dyn Broker, stop: &Stop) -> Result<(), BoxError> {
    let mut parked = Parked { metrics: shared.tracker.lock().metrics().clone(), logged: None };
    loop {
        let read = tokio::select! {
            () = stop.requested() => return Ok(()),
            read = read_board(shared, broker, &mut parked) => read,
        };
        match read {
            Ok(()) => continue,
            Err(BrokerError::Unavailable(error)) => warn!(error, "board of reports unavailable"),
            Err(refused @ BrokerError::Refused(_)) => return Err(refused.into()),
        }
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = sleep(RETRY_AFTER) => {}
        }
    }
}

/// Reads until the broker fails or falls silent; a board gives the latest of every agent first, so nothing is
/// missed.
async fn read_board(
    shared: &Shared,
    broker: &dyn Broker,
    parked: &mut Parked,
) -> Result<(), BrokerError> {
    let subscribing = timeout(SUBSCRIBE_WITHIN, broker.subscribe(BOARD, Start::Oldest));
    let mut board = match subscribing.await {
        Ok(subscribed) => subscribed?,
        Err(late) => return Err(BrokerError::Unavailable(late.into())),
    };
    while let Ok(deliveries) = timeout(SILENCE, board.read(READ_MAX)).await {
        shared.fold(deliveries?, parked);
    }
    Ok(())
}

impl Shared {
    fn fold(&self, deliveries: Vec<Delivery>, parked: &mut Parked) {
        let received_at = self.clock.now();
        let reports: Vec<Report> =
            deliveries.into_iter().filter_map(|delivery| parked.decode(&delivery)).collect();
        let mut tracker = self.tracker.lock();
        for report in reports {
            tracker.report(report, received_at);
        }
        drop(tracker);
        self.folded.send_replace(());
    }
}

/// What on the board was not understood: counted, logged now and then, passed over.
struct Parked {
    metrics: TrackerMetrics,
    logged: Option<Instant>,
}

impl Parked {
    fn decode(&mut self, delivery: &Delivery) -> Option<Report> {
        let reason = match decode_board(&delivery.body) {
            Ok(BoardMessage::Report(report)) => return Some(*report),
            Ok(BoardMessage::Incarnation(_) | BoardMessage::Retirement(_)) => {
                "not a report".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.metrics.parked.inc();
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= PARKED_LOGGED_EVERY) {
            self.logged = Some(now);
            warn!(key = delivery.key, reason, "report not understood");
        }
        None
    }
}

async fn store_changes(
    shared: &Shared,
    database: &Arc<Database>,
    stop: &Stop,
) -> Result<(), BoxError> {
    let mut ticks = interval(STORE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1u64.. {
        let stopping = tokio::select! {
            () = stop.requested() => true,
            _ = ticks.tick() => false,
        };
        let unstored = {
            let mut tracker = shared.tracker.lock();
            tracker.show_holes();
            tracker.take_unstored(stopping || tick.is_multiple_of(HEARTBEATS_EVERY))
        };
        if !unstored.is_empty() {
            blocking(database, move |database| store::save(database, &unstored)).await?;
        }
        if stopping {
            break;
        }
    }
    Ok(())
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
