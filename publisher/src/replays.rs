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
mod look;
mod sieve;
mod store;
#[cfg(test)]
mod tests;
mod walk;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Clock, Stop};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use redb::Database;
use schemas::api::{Mistake, Replay, ReplayCounts, ReplayRequest, ReplayState};
use schemas::{Sites, Trust};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use uuid::Uuid;

use crate::audit::Trail;
use crate::caller::Caller;
use crate::handle::TokenPaused;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::tracker::TrackerHandle;

use self::book::{Book, Entry, Unfit};
use self::choice::Choice;
use self::job::Job;
use self::sieve::Sieve;
use self::store::{Change, Durable, Store};
use self::walk::Cursor;
use self::wish::Wish;

pub(crate) use self::store::StoreError;

/// Most dry runs at once; others wait their turn, within their time.
const DRY_RUNS_MAX: usize = 2;
/// Longest wait for a replay to stop.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
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
    /// A human has paused the token: repeat it when that is over.
    #[error("the token is paused")]
    Paused(Box<TokenPaused>),
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
    /// Is told of whatever is published.
    pub(crate) trail: Trail,
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
    trail: Trail,
    trust: Arc<Trust>,
    store: Store,
    book: Mutex<Book>,
    /// Changes with every replay that does.
    changed: watch::Sender<()>,
    begun: mpsc::Sender<Uuid>,
    dry_runs: Semaphore,
}

/// A replay in the book that nobody carries out yet. Unless it begins, also where whoever asked for it is gone, all is
/// as it was.
struct Unbegun<'a> {
    shared: &'a Shared,
    id: Uuid,
    before: Option<Entry>,
    begun: bool,
}

impl Drop for Unbegun<'_> {
    fn drop(&mut self) {
        if self.begun {
            return;
        }
        let mut book = self.shared.book.lock();
        match self.before.take() {
            Some(before) => book.put(before),
            None => book.remove(self.id),
        }
    }
}

impl ReplaysSetup {
    /// Those that are kept, and the component that goes on with them. Blocks on the disk.
    pub(crate) fn open(self) -> Result<(Replays, Replayer), StoreError> {
        let (store, kept) = Store::open(self.database)?;
        let mut book = Book::default();
        for (replay, cursor) in kept {
            book.put(Entry::new(replay, cursor));
        }
        let (sender, begun) = mpsc::channel(BEGUN_MAX);
        let shared = Arc::new(Shared {
            broker: self.broker,
            journal: self.journal,
            tracker: self.tracker,
            sites: self.sites,
            clock: self.clock,
            metrics: self.metrics,
            trail: self.trail,
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
        self.start(Unbegun { shared: &self.0, id, before: None, begun: false }, changes).await?;
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
        let before = Some(before);
        self.start(Unbegun { shared: &self.0, id, before, begun: false }, changes).await?;
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

    async fn start(
        &self,
        mut unbegun: Unbegun<'_>,
        changes: Vec<Change>,
    ) -> Result<(), NotReplayed> {
        let stored = self.0.store.change(changes, Durable::Now).await;
        stored.map_err(|error| NotReplayed::Unavailable {
            why: "the table of replays cannot be written",
            source: Some(error.into()),
        })?;
        let begun = self.0.begun.try_send(unbegun.id);
        begun.map_err(|_| unavailable("too many replays begin, or the publisher is stopping"))?;
        unbegun.begun = true;
        Ok(())
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

impl From<Unfit> for NotReplayed {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Overlaps(other) => Self::Overlaps(other),
            Unfit::Full => unavailable("as many replays run as may; wait until one has ended"),
        }
    }
}
