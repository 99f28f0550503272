//! The tracker at work: folds what is read, keeps its books on disk, wakes whoever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Clock, Condition, Readiness, Stop};
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use redb::Database;
use schemas::{BoardMessage, LineId, LogMessage, Orders, Priority, PublisherName, Sites};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::Tracker;
use super::boards::{HEARTBEATS, NORMAL, PUBLISHERS, REPORTS, Word};
use super::handle::TrackerHandle;
use super::history::Untold;
use super::metrics::TrackerMetrics;
use super::stops::PausedTokens;
use super::store::{self, StoreError};
use crate::audit::Trail;
use crate::blocking::blocking;

/// How often what has changed is stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// How many of those times pass until it is stored that agents were heard and said nothing new.
const HEARTBEATS_EVERY: u64 = 10;

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
    /// Is told of what the books say.
    pub(crate) trail: Trail,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tracker: Mutex<Tracker>,
    pub(super) database: Arc<Database>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) clock: Clock,
    /// Held while something is stored, so that changes are stored in their order.
    storing: tokio::sync::Mutex<()>,
    /// Held while something is ordered, so that no order is lost to another.
    pub(super) ordering: tokio::sync::Mutex<()>,
    /// Whose publishing is refused.
    pub(super) paused_tokens: PausedTokens,
    /// Somebody registered: stored at once, so that a crash does not forget who owes what is accepted from now on.
    registered: Notify,
    /// Changes with every report folded.
    pub(super) folded: watch::Sender<()>,
    /// Changes with every event, where somebody listens.
    pub(super) happened: watch::Sender<()>,
    /// Tells the events of this life from those of others.
    pub(super) epoch: u64,
    /// Boards whose first content is folded.
    pub(super) caught_up: watch::Sender<BTreeSet<&'static str>>,
    trail: Trail,
    untold: Mutex<Untold>,
    /// Topics that cannot be read, and why.
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

impl Tracking {
    /// Reads the registry from the database, so that nothing is answered without it.
    pub(crate) async fn open(setup: TrackingSetup) -> Result<Self, StoreError> {
        let TrackingSetup { database, broker, name, sites, clock, condition, .. } = setup;
        let (others_publish, trail) = (setup.others_publish, setup.trail);
        let loaded = Arc::clone(&database);
        let stored = blocking(move || store::load(&loaded)).await?;
        let mut tracker = Tracker::new(name, sites, clock.now());
        tracker.restore(stored);
        let shared = Shared {
            tracker: Mutex::new(tracker),
            database,
            broker,
            clock,
            storing: tokio::sync::Mutex::new(()),
            ordering: tokio::sync::Mutex::new(()),
            paused_tokens: PausedTokens::default(),
            registered: Notify::new(),
            folded: watch::Sender::new(()),
            happened: watch::Sender::new(()),
            epoch: fastrand::u64(..),
            caught_up: watch::Sender::default(),
            trail,
            untold: Mutex::default(),
            troubles: Mutex::default(),
        };
        shared.look_for_paused_tokens(&shared.tracker.lock());
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

impl Shared {
    /// Folds what was read, and wakes who waits.
    pub(super) fn fold(&self, words: Vec<Word>) {
        let now = self.clock.now();
        let mut tracker = self.tracker.lock();
        let (caches, mut orders_heard) = (tracker.cache_count(), false);
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
                Word::Board(BoardMessage::Orders(orders))
                | Word::Stood(BoardMessage::Orders(orders), _) => {
                    tracker.orders(orders);
                    orders_heard = true;
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
        if orders_heard {
            self.look_for_paused_tokens(&tracker);
        }
        drop(tracker);
        self.folded.send_replace(());
        self.wake_listeners();
    }

    /// A publisher's orders, as they stand now.
    pub(super) fn learn_orders(&self, orders: Orders) {
        let mut tracker = self.tracker.lock();
        tracker.orders(orders);
        self.look_for_paused_tokens(&tracker);
    }

    fn look_for_paused_tokens(&self, tracker: &Tracker) {
        let now = self.clock.now();
        self.paused_tokens.learn(tracker.pauses(now), now);
    }

    pub(super) fn wake_listeners(&self) {
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
        shared.store(stopping || tick.is_multiple_of(HEARTBEATS_EVERY), stopping).await?;
        if stopping {
            break;
        }
    }
    Ok(())
}

impl Shared {
    /// Stores what has changed; on the disk when it returns.
    pub(super) async fn store(
        &self,
        with_heartbeats: bool,
        stopping: bool,
    ) -> Result<(), StoreError> {
        let _alone = self.storing.lock().await;
        let day = self.clock.now().to_zoned(TimeZone::UTC).date();
        let every_lane = self.untold.lock().whole.replace(day) != Some(day);
        let unstored = {
            let mut tracker = self.tracker.lock();
            if every_lane {
                tracker.store_everything();
            }
            let unstored = tracker.take_unstored(with_heartbeats);
            self.untold.lock().take(&unstored, |row| tracker.is_own(row.report.line));
            unstored
        };
        for (what, facts) in self.untold.lock().told(every_lane, stopping) {
            self.trail.tell_now(what, &facts);
        }
        if unstored.is_empty() {
            return Ok(());
        }
        let database = Arc::clone(&self.database);
        blocking(move || store::save(&database, &unstored)).await
    }
}
