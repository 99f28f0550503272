//! A lane without its surroundings: what it hears goes in, what to purge comes out. No clock, no await, no I/O.
//!
//! ```text
//! hear -> held (inner cache first) -> queue (coalesce, pack) -> flight -> settled -> rebounds -> final
//!                                       ^                         |                     |
//!                                       +------ retry, halves ----+      due pass ------+--> queue
//! ```

mod dispatch;
mod hearing;
mod telling;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Partition, PartitionBounds, Position, Positions};
use jiff::Timestamp;
use schemas::{
    Abilities, Ability, Cursor, Invalidation, LineId, Mode, Number, NumberRange, Priority,
    PublisherName, Region, Selector, SiteName, Sites,
};

use crate::Moment;
use crate::batch::{Entry, Queue, Waiter};
use crate::config::LaneConfig;
use crate::driver::{Batch, Purge};
use crate::flush::{Cause, Flush, Plan};
use crate::ledger::Ledger;
use crate::order::{Held, Inner};
use crate::rebound::Rebounds;
use crate::retry::Retry;

pub(crate) use telling::Sizes;

/// How long a lane listens at its start before it takes stock.
const LISTEN: Duration = Duration::from_secs(2);
/// At so many dead letters the lane stops: something is wrong that no purging repairs.
const DEAD_LETTERS_MAX: usize = 10_000;
/// Said by a lane that must flush a cache which cannot purge everything of a site.
const CANNOT_FLUSH: &str = "this cache cannot be flushed by its driver: empty it by hand and set \
    starts_empty = true, or give it a way to purge everything";
/// Due passes moved to the queue at once; more wait their turn.
const REBOUNDS_AT_ONCE: usize = 1_000;

/// What a lane is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// The agent's region.
    pub(crate) region: Region,
    /// All sites of the installation.
    pub(crate) sites: Arc<Sites>,
    /// Which of the cache's lanes.
    pub(crate) priority: Priority,
    /// How it behaves.
    pub(crate) config: LaneConfig,
    /// Delays of its later passes.
    pub(crate) rebounds: Vec<Duration>,
    /// Key templates in force, kept in the cursor.
    pub(crate) templates: BTreeSet<String>,
    /// How long at start the log may be silent before the lane counts as ready all the same.
    pub(crate) ready_fail_open_after: Duration,
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
        /// What it said.
        error: String,
    },
}

impl Failure {
    /// What happened.
    pub(crate) fn error(&self) -> &str {
        match self {
            Self::Unavailable { error, .. } | Self::Refused { error } => error,
        }
    }
}

#[derive(Debug)]
struct Flight {
    entries: Vec<Entry>,
    started: Moment,
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

/// How ready a lane is to be counted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    /// Nobody was heard yet, or not for long enough.
    Listening,
    /// These heads were seen at the start; the floors have not reached them.
    CatchingUp(Vec<(LineId, Number)>),
    /// It has caught up once.
    Done,
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
    newest: HashMap<PublisherName, Timestamp>,
    held: Held<Arc<Invalidation>>,
    queue: Queue,
    flights: HashMap<u64, Flight>,
    next_flight: u64,
    retry: Retry,
    rebounds: Rebounds,
    parked: Held<(Purge, Waiter)>,
    flush: Flush,
    joining: bool,
    replayed_until: Positions,
    begun: Moment,
    start: Start,
    heard_publisher: bool,
    last_error: Option<String>,
    settled: Vec<(LineId, NumberRange)>,
    flushes_begun: Vec<Cause>,
    jitter: fastrand::Rng,
}

impl Machine {
    /// A lane as its cursor left it, or a new one. It comes after `inner`, if there is one.
    pub(crate) fn new(
        purpose: Purpose,
        cursor: Option<&Cursor>,
        inner: Option<Arc<dyn Inner>>,
        mut jitter: fastrand::Rng,
        now: Moment,
    ) -> Self {
        let ledger = cursor.map_or_else(Ledger::default, |cursor| {
            Ledger::resumed(&cursor.lines, &cursor.hints, now)
        });
        let settled = ledger.applied_ranges();
        let mut machine = Self {
            life: cursor.map_or(1, |cursor| cursor.life),
            inner,
            abilities: None,
            acquaintance: Acquaintance::Due,
            ledger,
            newest: HashMap::new(),
            held: Held::default(),
            queue: Queue::default(),
            flights: HashMap::new(),
            next_flight: 0,
            retry: Retry::new(jitter.fork()),
            rebounds: Rebounds::new(purpose.rebounds.clone()),
            parked: Held::default(),
            flush: Flush::new(),
            joining: cursor.is_none(),
            replayed_until: Positions::new(),
            begun: now,
            start: Start::Listening,
            heard_publisher: false,
            last_error: None,
            settled,
            flushes_begun: Vec::new(),
            jitter,
            purpose,
        };
        if let Some(cursor) = cursor {
            machine.flush_what_is_new(cursor, now);
        }
        machine
    }

    /// Where reading of a partition begins without a cursor, at the broker's `time`: where the log ends now,
    /// or at its oldest for a shared cache, to which the log is replayed. Answers the position.
    pub(crate) fn begin_at(
        &mut self,
        partition: Partition,
        kept: PartitionBounds,
        time: Timestamp,
    ) -> Position {
        let position = if self.purpose.config.shared { kept.first } else { kept.end };
        self.replayed_until.insert(partition, kept.end);
        self.ledger.resume_at(partition, position, time);
        position
    }

    /// A configuration that holds more than the cursor knows is flushed for what is new.
    fn flush_what_is_new(&mut self, cursor: &Cursor, now: Moment) {
        let all = self.sites();
        let templates_grew = !self.purpose.templates.is_subset(&cursor.templates);
        let sites = if cursor.region != self.purpose.region || templates_grew {
            all
        } else {
            all.into_iter().filter(|site| !cursor.sites.contains(site)).collect()
        };
        self.flush.schedule(now, Plan { cause: Cause::Configuration, sites });
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
        self.take_stock(now);
        self.watch_holes(now);
        self.begin_flush(now);
        self.release(now);
        for purge in self.rebounds.take_due(now, REBOUNDS_AT_ONCE) {
            self.queue.add_rebound(&purge, now);
        }
        self.watch_start();
    }

    /// After listening at its start: flushes a cache without a cursor, and notes the heads to be reached.
    fn take_stock(&mut self, now: Moment) {
        let silent_for_long = now >= self.begun + self.purpose.ready_fail_open_after;
        if self.joining && now >= self.begun + LISTEN {
            self.joining = false;
            if !self.purpose.config.starts_empty && !self.purpose.config.shared {
                let plan = Plan { cause: Cause::NoCursor, sites: self.sites() };
                self.flush.schedule(now, plan);
            }
        }
        let heard = self.heard_publisher && now >= self.begun + LISTEN;
        if self.start == Start::Listening && (heard || silent_for_long) {
            self.start = Start::CatchingUp(self.ledger.heads());
        }
    }

    fn watch_start(&mut self) {
        let Start::CatchingUp(heads) = &self.start else { return };
        let reached = heads.iter().all(|(line, head)| self.ledger.applied(*line) >= *head);
        if reached && self.flush.idle() && self.abilities.is_some() {
            self.start = Start::Done;
        }
    }

    /// Schedules a flush when a hole is overdue, spread over the fleet; calls it off when the hole was filled.
    fn watch_holes(&mut self, now: Moment) {
        let deadline = self.purpose.config.hole_deadline;
        let overdue = self.ledger.lines.values().any(|line| line.hearing.overdue(now, deadline));
        if !overdue {
            self.flush.cancel_for_holes();
        } else if self.flush.idle() {
            let spread = self.purpose.config.flush_spread.mul_f64(self.jitter.f64());
            let plan = Plan { cause: Cause::Hole, sites: self.sites() };
            self.flush.schedule(now + spread, plan);
        }
    }

    fn begin_flush(&mut self, now: Moment) {
        if self.abilities.is_none() {
            return;
        }
        let ledger = &self.ledger;
        let Some((id, plan)) = self.flush.begin(now, || ledger.heads()) else { return };
        if self.ability(&Selector::Everything) != Ability::Supported {
            self.flush.refused(id, now);
            self.last_error = Some(CANNOT_FLUSH.to_owned());
            return;
        }
        for site in plan.sites {
            let purge = Purge { site, selector: Selector::Everything, mode: Mode::Hard };
            self.queue.add(&purge, Waiter::Flush(id), now);
        }
        self.flushes_begun.push(plan.cause);
    }

    /// When [`Machine::tick`] or [`Machine::take`] has something to do again by itself.
    pub(crate) fn deadline(&self, now: Moment) -> Option<Moment> {
        let joined = self.joining.then_some(self.begun + LISTEN);
        let able = self.abilities.is_some();
        let barrier = self.held.over_at(self.purpose.config.barrier).filter(|_| able);
        let flush = self.flush.due_at().filter(|_| able);
        [joined, flush, barrier, self.rebounds.next_due(), self.dispatch_at()]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(now))
    }

    /// How many more numbers may be read now.
    pub(crate) fn room(&self) -> usize {
        let window = self.purpose.config.window;
        let selectors = self.ledger.selectors() + self.rebounds.len() + self.parked.len();
        let full = selectors >= self.purpose.config.rebound_selectors
            || self.ledger.ranges() > window
            || self.ledger.dead_letters() >= DEAD_LETTERS_MAX;
        if full {
            return 0;
        }
        window.saturating_sub(self.ledger.unsettled())
    }
}

#[cfg(test)]
mod simulation;
