//! Publishes again what the log holds: for those who were away, or whom someone doubts.
//!
//! ```text
//! request --> wish --> [ walk the log --> sieve ] --> counts and a sample      dry run
//!                              |            |
//!                              |            +--> journal, at its rate          replay
//!                              +--> cursor --> store                           goes on after a crash
//! ```
//!
//! What is replayed is new: it has its own id and number, names its origin, and travels on the normal path. A dry run
//! and a replay read by the same code.

mod book;
mod breath;
mod choice;
mod held;
mod job;
mod sieve;
mod store;
#[cfg(test)]
mod tests;
mod trust;
mod walk;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Topic};
use daemon::{BoxError, Clock, Stop};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use redb::Database;
use schemas::api::{Mistake, Replay, ReplayCounts, ReplayDryRun, ReplayRequest, ReplayState};
use schemas::{Sites, Trust};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::caller::Caller;
use crate::journal::{Journal, Stream};
use crate::metrics::Metrics;
use crate::tracker::TrackerHandle;

use self::book::{Book, Entry, Unfit};
use self::breath::Breath;
use self::choice::Choice;
use self::held::{Held, held};
use self::job::Job;
use self::sieve::{Fate, SAMPLE_MAX, Seen, Sieve};
use self::store::{Change, Durable, Store};
use self::walk::{Cursor, Walk, WalkError};
use self::wish::{Known, Wish};

pub(crate) use self::store::StoreError;
pub use self::trust::TrustError;
pub(crate) use self::trust::trust;

/// Longest dry run; whoever asks waits for no longer than this.
const DRY_RUN_WITHIN: Duration = Duration::from_mins(1);
/// Most dry runs at once; others wait their turn, within their time.
const DRY_RUNS_MAX: usize = 2;
/// Longest wait for a replay to stop.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
/// Who has missed what is known once the boards have been read.
const BOARDS_WITHIN: Duration = Duration::from_secs(3);
/// Replays that were asked for and have not begun.
const BEGUN_MAX: usize = 64;

/// Why nothing is replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReplayed {
    /// It is wrong: fix all of these.
    #[error("{} mistakes in the request", .0.len())]
    Invalid(Vec<Mistake>),
    /// The token is for less than that.
    #[error("the token does not allow it")]
    Forbidden(Vec<Mistake>),
    /// This one, about some of the same, runs.
    #[error("the replay {0} runs")]
    Overlaps(Uuid),
    /// There is none of that name.
    #[error("there is no such replay")]
    Unknown,
    /// Repeat it later.
    #[error("{why}")]
    Unavailable {
        /// What keeps it.
        why: &'static str,
        /// Its cause.
        #[source]
        source: Option<BoxError>,
    },
}

/// What replays need.
#[derive(Debug)]
pub(crate) struct ReplaysSetup {
    pub(crate) database: Arc<Database>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) journal: Journal,
    pub(crate) tracker: TrackerHandle,
    pub(crate) sites: Arc<Sites>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// Whose words are published again.
    pub(crate) trust: Trust,
}

/// Begins, shows and stops replays. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Replays(Arc<Shared>);

/// The component that carries them out.
#[derive(Debug)]
pub(crate) struct Replayer {
    shared: Arc<Shared>,
    begun: mpsc::Receiver<Uuid>,
}

#[derive(Debug)]
struct Shared {
    broker: Arc<dyn Broker>,
    journal: Journal,
    tracker: TrackerHandle,
    sites: Arc<Sites>,
    clock: Clock,
    metrics: Metrics,
    trust: Arc<Trust>,
    store: Store,
    book: Mutex<Book>,
    /// Changes with every replay that does.
    changed: watch::Sender<()>,
    begun: mpsc::Sender<Uuid>,
    dry_runs: Semaphore,
}

impl ReplaysSetup {
    /// Those that are kept, and the component that goes on with them. Blocks on the disk.
    pub(crate) fn open(self) -> Result<(Replays, Replayer), StoreError> {
        let (store, kept) = Store::open(self.database)?;
        let mut book = Book::default();
        kept.into_iter().for_each(|(replay, cursor)| book.put(Entry::new(replay, cursor)));
        let (sender, begun) = mpsc::channel(BEGUN_MAX);
        let shared = Arc::new(Shared {
            broker: self.broker,
            journal: self.journal,
            tracker: self.tracker,
            sites: self.sites,
            clock: self.clock,
            metrics: self.metrics,
            trust: Arc::new(self.trust),
            store,
            book: Mutex::new(book),
            changed: watch::Sender::new(()),
            begun: sender,
            dry_runs: Semaphore::new(DRY_RUNS_MAX),
        });
        Ok((Replays(Arc::clone(&shared)), Replayer { shared, begun }))
    }
}

impl Replayer {
    /// Carries replays out until stopped; those that an earlier life left go on first.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let Self { shared, mut begun } = self;
        let left: Vec<Uuid> = shared.book.lock().running().map(|replay| replay.id).collect();
        let work = |id| shared.work(id, stop.clone());
        let mut at_work: FuturesUnordered<_> = left.into_iter().map(work).collect();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(id) = begun.recv() => at_work.push(work(id)),
                Some(()) = at_work.next(), if !at_work.is_empty() => {}
            }
        }
        while at_work.next().await.is_some() {}
        Ok(())
    }
}

impl Shared {
    async fn work(&self, id: Uuid, stop: Stop) {
        let entry = self.book.lock().get(id).cloned();
        if let Some(entry) = entry {
            Box::pin(Job::new(self, entry, stop).run()).await;
        }
    }

    fn sieve(&self, choice: Choice) -> Sieve {
        Sieve::new(choice, Arc::clone(&self.sites), self.tracker.clone(), Arc::clone(&self.trust))
    }

    /// A replay stands so now.
    fn show(&self, replay: Replay, cursor: Cursor) {
        if let Some(entry) = self.book.lock().get_mut(replay.id) {
            (entry.replay, entry.cursor) = (replay, cursor);
        }
        self.changed.send_replace(());
    }
}

impl Replays {
    /// All there are that the caller may read of, the latest first.
    pub(crate) fn list(&self, caller: &Caller) -> Vec<Replay> {
        let mut replays = self.0.book.lock().replays();
        replays.retain(|replay| may_read(caller, replay));
        replays
    }

    /// The replay of that name.
    pub(crate) fn get(&self, caller: &Caller, id: Uuid) -> Result<Replay, NotReplayed> {
        let replay = self.0.book.lock().get(id).map(|entry| entry.replay.clone());
        replay.filter(|replay| may_read(caller, replay)).ok_or(NotReplayed::Unknown)
    }

    /// What a replay would publish.
    pub(crate) async fn dry_run(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
    ) -> Result<ReplayDryRun, NotReplayed> {
        let deadline = Instant::now() + DRY_RUN_WITHIN;
        let (Wish { filter, rate }, held) = self.understand(caller, request).await?;
        let Ok(Ok(_turn)) = timeout_at(deadline, self.0.dry_runs.acquire()).await else {
            return Err(unavailable("others look at the log: no turn came in time"));
        };
        let cursor = self.begin_at().await?;
        let mut walk = Walk::new(Arc::clone(&self.0.broker), filter.since, cursor);
        let sieve = self.0.sieve(Choice::new(filter.clone()));
        let mut counts = ReplayCounts::default();
        let mut sample = Vec::new();
        let count = async {
            let (mut seen, mut breath) = (Seen::default(), Breath::default());
            while let Some((priority, deliveries)) = walk.next().await? {
                for delivery in deliveries {
                    let began = Instant::now();
                    let stream = Stream { priority, partition: delivery.partition };
                    let topic = Topic::log(priority.as_str());
                    let now = self.0.clock.now();
                    for sifted in sieve.sift(&mut seen, topic, &delivery, 0, now) {
                        sieve.count(&mut counts, &sifted);
                        if sifted.fate == Fate::Again && sample.len() < SAMPLE_MAX {
                            sample.push(sieve.sample(&sifted.invalidation));
                        }
                    }
                    walk.cursor_mut().pass(stream, delivery.position);
                    breath.take(began).await;
                }
            }
            Ok::<_, WalkError>(())
        };
        let complete = match timeout_at(deadline, Box::pin(count)).await {
            Ok(counted) => counted.map(|()| true).map_err(unreadable)?,
            Err(_) => false,
        };
        Ok(ReplayDryRun { filter, rate, counts, complete, held_since: held.since, sample })
    }

    /// Begins a replay under that name; where it has begun already, it is that one.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
        id: Uuid,
    ) -> Result<Replay, NotReplayed> {
        if let Ok(begun) = self.get(caller, id) {
            return Ok(begun);
        }
        let (Wish { filter, rate }, _) = self.understand(caller, request).await?;
        let cursor = self.begin_at().await?;
        let now = self.0.clock.now();
        let replay = Replay {
            id,
            state: ReplayState::Running,
            by: caller.name().to_owned(),
            filter,
            rate,
            counts: ReplayCounts::default(),
            published: 0,
            read: 0,
            to_read: 0,
            started_at: now,
            ended_at: None,
            waits: None,
            error: None,
        };
        let forgotten = {
            let mut book = self.0.book.lock();
            if let Some(begun) = book.get(id) {
                return Ok(begun.replay.clone());
            }
            book.fits(&replay.filter)?;
            book.put(Entry::new(replay.clone(), cursor.clone()));
            book.forget(now)
        };
        let mut changes: Vec<Change> = forgotten.into_iter().map(Change::Remove).collect();
        changes.push(Change::Put(Box::new(replay.clone()), cursor));
        if let Err(error) = self.start(id, changes).await {
            self.0.book.lock().remove(id);
            return Err(error);
        }
        Ok(replay)
    }

    /// Goes on with one that was cancelled or failed, where it stopped.
    pub(crate) async fn resume(&self, caller: &Caller, id: Uuid) -> Result<Replay, NotReplayed> {
        self.may_change(caller, id)?;
        let (before, entry) = {
            let mut book = self.0.book.lock();
            let before = book.get(id).cloned().ok_or(NotReplayed::Unknown)?;
            if matches!(before.replay.state, ReplayState::Running | ReplayState::Done) {
                return Ok(before.replay);
            }
            book.fits(&before.replay.filter)?;
            let replay = Replay {
                state: ReplayState::Running,
                ended_at: None,
                error: None,
                ..before.replay.clone()
            };
            let entry = Entry::new(replay, before.cursor.clone());
            book.put(entry.clone());
            (before, entry)
        };
        let Entry { replay, cursor, .. } = entry;
        let changes = vec![Change::Put(Box::new(replay.clone()), cursor)];
        if let Err(error) = self.start(id, changes).await {
            self.0.book.lock().put(before);
            return Err(error);
        }
        Ok(replay)
    }

    /// Stops one that runs; it can be resumed.
    pub(crate) async fn cancel(&self, caller: &Caller, id: Uuid) -> Result<Replay, NotReplayed> {
        self.may_change(caller, id)?;
        let cancel = self.0.book.lock().get(id).map(|entry| entry.cancel.clone());
        cancel.ok_or(NotReplayed::Unknown)?.request();
        let mut changed = self.0.changed.subscribe();
        let stops = async {
            loop {
                changed.borrow_and_update();
                let replay = self.get(caller, id)?;
                if replay.state != ReplayState::Running {
                    return Ok(replay);
                }
                // The sender lives in `self`.
                changed.changed().await.ok();
            }
        };
        let stopped = timeout(CANCEL_WITHIN, stops).await;
        stopped
            .map_err(|_| unavailable("it is asked to stop, and has not yet; ask how it stands"))?
    }

    /// What is wanted, if it can be done and the caller may want it.
    async fn understand(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
    ) -> Result<(Wish, Held), NotReplayed> {
        let Shared { tracker, sites, clock, broker, .. } = &*self.0;
        let known = Known {
            sites,
            regions: &tracker.known_regions(),
            agents: &tracker.agent_summaries(),
            only_site: caller.only_site(),
            now: clock.now(),
        };
        let wish = wish::read(request, &known).map_err(NotReplayed::Invalid)?;
        let (site, region) = (wish.filter.site.as_ref(), wish.filter.region.as_ref());
        caller.check_replay(site, region).map_err(NotReplayed::Forbidden)?;
        let held = held(broker.as_ref()).await.map_err(cannot_be_read)?;
        if let Some(since) = held.since.filter(|_| held.lacks(wish.filter.since)) {
            let detail = format!(
                "is a time that the log no longer holds; it holds what it took since {since:.0}: \
                 give a later time, and flush what missed more"
            );
            return Err(NotReplayed::Invalid(vec![Mistake { pointer: "/since".into(), detail }]));
        }
        if wish.filter.missed && !tracker.caught_up(BOARDS_WITHIN).await {
            return Err(unavailable("who has missed what is not known: the boards are not read"));
        }
        Ok((wish, held))
    }

    async fn begin_at(&self) -> Result<Cursor, NotReplayed> {
        let begun = timeout(BOARDS_WITHIN, Cursor::begin(self.0.broker.as_ref())).await;
        begun.map_err(|_| unavailable("the log gives no answer"))?.map_err(cannot_be_read)
    }

    async fn start(&self, id: Uuid, changes: Vec<Change>) -> Result<(), NotReplayed> {
        let stored = self.0.store.change(changes, Durable::Now).await;
        stored.map_err(|error| NotReplayed::Unavailable {
            why: "the table of replays cannot be written",
            source: Some(error.into()),
        })?;
        let begun = self.0.begun.send(id).await;
        begun.map_err(|_| unavailable("the publisher is stopping"))
    }

    /// Whether the caller may stop that one, and go on with it.
    fn may_change(&self, caller: &Caller, id: Uuid) -> Result<(), NotReplayed> {
        let filter = self.get(caller, id)?.filter;
        let may = caller.check_replay(filter.site.as_ref(), filter.region.as_ref());
        may.map_err(NotReplayed::Forbidden)
    }
}

/// One of all sites is for those who may read of all.
fn may_read(caller: &Caller, replay: &Replay) -> bool {
    replay.filter.site.as_ref().map_or_else(|| caller.reads_all(), |site| caller.reads(site))
}

fn unavailable(why: &'static str) -> NotReplayed {
    NotReplayed::Unavailable { why, source: None }
}

fn cannot_be_read(error: BrokerError) -> NotReplayed {
    NotReplayed::Unavailable { why: "the log cannot be read", source: Some(error.into()) }
}

fn unreadable(error: WalkError) -> NotReplayed {
    NotReplayed::Unavailable { why: "the log cannot be read", source: Some(error.into()) }
}

impl From<Unfit> for NotReplayed {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Overlaps(other) => Self::Overlaps(other),
            Unfit::Full => unavailable("as many replays run as may; wait until one has ended"),
        }
    }
}
