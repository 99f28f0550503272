//! A lane without its surroundings: what it hears goes in, what to purge comes out. No clock, no await, no I/O.
//!
//! ```text
//! hear -> held (inner cache first) -> queue (coalesce, pack) -> flight -> settled -> rebounds -> final
//!                                       ^                         |                     |
//!                                       +------ retry, halves ----+      due pass ------+--> queue
//! ```

mod again;
mod cancelled;
mod configured;
mod dispatch;
mod hearing;
mod holes;
mod letters;
mod lines;
mod ordered;
mod others;
mod pauses;
mod settled;
mod start;
mod takeback;
mod telling;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::{
    Abilities, AgentName, CacheName, Cursor, Exchange, Invalidation, Place, Priority,
    PublisherName, Region, SiteName, Sites,
};
use uuid::Uuid;

use crate::Moment;
use crate::batch::{Entry, Queue, Waiter};
use crate::config::LaneConfig;
use crate::driver::{Batch, Purge};
use crate::flush::{Cause, Flush};
use crate::ledger::Ledger;
use crate::letters::{Ended, Letters};
use crate::lookup::Lookup;
use crate::map::Map;
use crate::order::{Finals, Floors, Held, Inner};
use crate::rebound::Rebounds;
use crate::recent::Recent;
use crate::retry::Retry;
use crate::standing_orders::Bidding;
use crate::stretch::Stretches;

use others::Others;
use pauses::Pauses;
use settled::Settled;
use start::Start;

pub(crate) use takeback::without_numbers;
pub(crate) use telling::{Sizes, WAITS_FOR_HUMAN};

/// Due passes moved to the queue at once; more wait their turn.
const REBOUNDS_AT_ONCE: usize = 1_000;

/// What a lane is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// The agent's region.
    pub(crate) region: Region,
    /// The agent.
    pub(crate) agent: AgentName,
    /// Its cache.
    pub(crate) cache: CacheName,
    /// All sites of the installation.
    pub(crate) sites: Arc<Sites>,
    /// Which of the cache's lanes.
    pub(crate) priority: Priority,
    /// How it behaves.
    pub(crate) config: LaneConfig,
    /// Delays of its later passes.
    pub(crate) rebounds: Vec<Duration>,
    /// Delay of the one later pass of what was purged behind fences; `None` where that has all of them too.
    pub(crate) fenced_rebound: Option<Duration>,
    /// What the cache consists of, as its driver names it; kept in the cursor.
    pub(crate) parts: BTreeSet<String>,
    /// How long at start the log may be silent before the lane counts as ready all the same; `None`: for ever.
    pub(crate) ready_fail_open_after: Option<Duration>,
    /// How long the broker keeps a message.
    pub(crate) retention: Duration,
}

/// A batch to purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Its name when it comes back.
    pub(crate) id: u64,
    /// What to purge.
    pub(crate) batch: Batch,
}

/// How a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The cache does not work now.
    Unavailable {
        /// How long it asked to be left alone.
        after: Option<Duration>,
        /// What happened.
        error: String,
    },
    /// The cache works and will not do this.
    Refused {
        /// Why.
        error: String,
        /// What it answered, if it did.
        exchange: Option<Box<Exchange>>,
    },
}

impl Failure {
    /// What happened.
    pub(crate) fn error(&self) -> &str {
        match self {
            Self::Unavailable { error, .. } | Self::Refused { error, .. } => error,
        }
    }
}

#[derive(Debug)]
struct Flight {
    entries: Vec<Entry>,
    begun: Begun,
}

/// When a batch went out, and how far the inner lane's last passes were known to be then, if there is one.
#[derive(Debug)]
struct Begun {
    at: Moment,
    finals: Option<Arc<Floors>>,
}

/// Whether the driver knows what its cache can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acquaintance {
    /// It must be asked before the next purge.
    Due,
    /// It is being asked.
    UnderWay,
    /// It has answered.
    Made,
}

/// The lane.
#[derive(Debug)]
pub(crate) struct Machine {
    purpose: Purpose,
    life: u64,
    inner: Option<Arc<dyn Inner>>,
    abilities: Option<Abilities>,
    acquaintance: Acquaintance,
    ledger: Ledger,
    newest: Map<PublisherName, Timestamp>,
    held: Held<Arc<Invalidation>>,
    queue: Queue,
    flights: HashMap<u64, Flight>,
    next_flight: u64,
    retry: Retry,
    rebounds: Rebounds,
    parked: Held<(Purge, Waiter)>,
    deferring: bool,
    stretches: Stretches,
    recent: Recent,
    finals: Finals,
    flush: Flush,
    /// What humans have ordered and is in force.
    bidden: Vec<Bidding>,
    /// What of it is to wait.
    pauses: Pauses,
    /// What of it is to be left.
    cancelled: HashSet<Place>,
    /// The orders carried out, and when they expire.
    obeyed: BTreeMap<Uuid, Timestamp>,
    /// Those of them that a stored cursor tells: a crash forgets no more of these.
    remembered: BTreeSet<Uuid>,
    /// What the cache refused.
    letters: Letters,
    letters_ended: Vec<Ended>,
    /// What the wall clock showed last.
    time: Timestamp,
    /// Up to which of the inner lane's flushes this one has flushed too,
    followed: u64,
    /// unless an earlier life has left that undone.
    behind: bool,
    /// The broker's time of where reading went on.
    resumed_at: Option<Timestamp>,
    lookup: Lookup,
    start: Start,
    last_error: Option<String>,
    parked_error: Option<(Moment, String)>,
    settled: Settled,
    flushes_begun: Vec<Cause>,
    /// Of a cache that others share, what they have done to it.
    others: Option<Others>,
    /// The broker's time of the first message of this life.
    first_heard: Option<Timestamp>,
    jitter: fastrand::Rng,
}

impl Machine {
    /// A lane as its cursor left it, or a new one. It comes after `inner`, if there is one.
    pub(crate) fn new(
        purpose: Purpose,
        cursor: Option<&Cursor>,
        inner: Option<Arc<dyn Inner>>,
        jitter: fastrand::Rng,
        now: Moment,
    ) -> Self {
        let mut machine = Self::joining(purpose, inner, jitter, now);
        if let Some(cursor) = cursor {
            machine.resume(cursor, now);
        }
        machine
    }

    /// One that knows nothing.
    fn joining(
        purpose: Purpose,
        inner: Option<Arc<dyn Inner>>,
        mut jitter: fastrand::Rng,
        now: Moment,
    ) -> Self {
        // A fence keeps nothing stale out that comes from an inner cache which still has its own passes before it.
        let fenced = purpose.fenced_rebound.filter(|_| inner.is_none());
        let rebounds = Rebounds::new(purpose.rebounds.clone(), fenced);
        Self {
            life: 1,
            inner,
            abilities: None,
            acquaintance: Acquaintance::Due,
            ledger: Ledger::default(),
            newest: Map::default(),
            held: Held::default(),
            queue: Queue::default(),
            flights: HashMap::new(),
            next_flight: 0,
            retry: Retry::new(jitter.fork()),
            rebounds,
            parked: Held::default(),
            deferring: false,
            stretches: Stretches::new(purpose.rebounds.clone()),
            recent: Recent::default(),
            finals: Finals::default(),
            flush: Flush::new(),
            bidden: Vec::new(),
            pauses: Pauses::default(),
            cancelled: HashSet::new(),
            obeyed: BTreeMap::new(),
            remembered: BTreeSet::new(),
            letters: Letters::default(),
            letters_ended: Vec::new(),
            time: Timestamp::UNIX_EPOCH,
            followed: 0,
            behind: false,
            resumed_at: None,
            lookup: Lookup::new(None, now),
            start: Start::new(true, now),
            last_error: None,
            parked_error: None,
            settled: Settled::default(),
            flushes_begun: Vec::new(),
            others: None,
            first_heard: None,
            jitter,
            purpose,
        }
    }

    /// Goes on as `cursor` left it.
    fn resume(&mut self, cursor: &Cursor, now: Moment) {
        let times = || cursor.hints.iter().map(|hint| hint.time);
        self.life = cursor.life;
        self.ledger = Ledger::resumed(cursor, now);
        self.settled = Settled::new(self.ledger.applied_ranges());
        self.obeyed = cursor.obeyed.iter().copied().collect();
        self.remembered = cursor.obeyed.iter().map(|(id, _)| *id).collect();
        self.behind = cursor.behind;
        self.resumed_at = times().max();
        self.lookup = Lookup::new(times().min(), now);
        self.start = Start::new(false, now);
        self.flush_what_is_new(cursor, now);
        self.resume_flush(cursor, now);
    }

    /// The sites this lane's cache holds.
    fn sites(&self) -> Vec<SiteName> {
        self.purpose
            .sites
            .iter()
            .map(|site| site.name.clone())
            .filter(|site| self.holds(site))
            .collect()
    }

    fn holds(&self, site: &SiteName) -> bool {
        let configured = self.purpose.config.sites.as_ref();
        configured.is_none_or(|sites| sites.contains(site))
            && self.purpose.sites.held_in(site, &self.purpose.region)
    }

    /// Does what has become due. To be called at [`Machine::deadline`], and whenever something happened.
    pub(crate) fn tick(&mut self, now: Moment) {
        self.tend_pauses(now);
        self.take_stock(now);
        self.watch_holes(now);
        self.take_orders(now);
        self.begin_flush(now);
        self.tend_others();
        self.follow_inner(now);
        self.begin_flush(now);
        self.release(now);
        for purge in self.rebounds.take_due(now, REBOUNDS_AT_ONCE) {
            self.queue.add_rebound(purge, now);
        }
        self.tend_stretches(now);
        self.watch_start();
    }

    /// When [`Machine::tick`] or [`Machine::take`] has something to do again by itself.
    pub(crate) fn deadline(&self, now: Moment) -> Option<Moment> {
        let joined = self.start.joined_at();
        let able = self.abilities.is_some();
        let releases = able && !self.letters.is_full();
        let barrier = self.held.over_at(self.purpose.config.barrier).filter(|_| releases);
        let flush = self.flush_at().filter(|at| able && (*at > now || !self.waits_for_others()));
        let again = self.again_due(now).filter(|_| able);
        let pause = self.pauses.next_end();
        [joined, flush, barrier, self.rebounds.next_due(), again, self.dispatch_at(), pause]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(now))
    }

    /// How many more numbers may be read now.
    pub(crate) fn room(&self) -> usize {
        let window = self.purpose.config.window;
        let selectors_max = self.purpose.config.rebound_selectors.min(window.saturating_mul(2));
        let full = self.ledger.selectors() >= selectors_max.max(1)
            || self.ledger.ranges() + self.stretches.ranges() > window
            || self.letters.is_full();
        if full {
            return 0;
        }
        window.saturating_sub(self.ledger.unsettled())
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod swaps;
