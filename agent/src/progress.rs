//! What one lane shows to others: its report for the reporter, and what it has settled for a lane that comes after it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use schemas::{
    Abilities, CircuitState, Cursor, LaneReport, LineId, Number, NumberRange, Place, Priority,
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::floor::Floor;
use crate::map::Map;
use crate::order::{Floors, Inner};

/// Most returns remembered for an outer lane: each takes a new connection, and it follows at once.
const CURSORS_MAX: usize = 8;

/// The public face of one lane.
#[derive(Debug)]
pub(crate) struct Progress {
    applied: RwLock<Map<LineId, Floor>>,
    broken: AtomicBool,
    flushes: Mutex<Flushes>,
    latest: Mutex<(LaneReport, Option<Abilities>)>,
    moved: watch::Sender<()>,
    news: Arc<Notify>,
    returns: Mutex<Returns>,
    followed: Mutex<Followed>,
}

/// Up to which of the inner lane's flushes and returns an outer lane has done the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) flushes: u64,
    pub(crate) returns: u64,
}

/// The cursors that it went back to, each numbered, for an outer lane to follow.
#[derive(Debug, Default)]
struct Returns {
    count: u64,
    cursors: VecDeque<(u64, Arc<Cursor>)>,
}

/// How a lane stands to flushes.
#[derive(Debug, PartialEq, Eq)]
struct Flushes {
    flushing: bool,
    count: u64,
    obeyed: BTreeSet<Uuid>,
}

impl Progress {
    /// A lane that has not begun; `news` wakes the reporter.
    pub(crate) fn new(priority: Priority, news: Arc<Notify>) -> Self {
        let report = LaneReport::new(priority, 1);
        Self {
            applied: RwLock::default(),
            broken: AtomicBool::new(false),
            flushes: Mutex::new(Flushes { flushing: true, count: 0, obeyed: BTreeSet::new() }),
            latest: Mutex::new((report, None)),
            moved: watch::Sender::new(()),
            news,
            returns: Mutex::default(),
            followed: Mutex::default(),
        }
    }

    /// What an outer lane need not follow any more that begins to do so now.
    pub(crate) fn present(&self) -> Followed {
        Followed { flushes: self.flushes.lock().count, returns: self.returns.lock().count }
    }

    /// How far it has followed the lane that it comes after, as its stored cursor knows.
    pub(crate) fn followed(&self) -> Followed {
        *self.followed.lock()
    }

    /// It has followed so far.
    pub(crate) fn has_followed(&self, followed: Followed) {
        *self.followed.lock() = followed;
    }

    /// These numbers have been purged once.
    pub(crate) fn settle(&self, settled: Vec<(LineId, NumberRange)>) {
        if settled.is_empty() {
            return;
        }
        let mut applied = self.applied.write();
        for (line, numbers) in settled {
            applied.entry(line).or_default().settle(numbers);
        }
        drop(applied);
        self.moved.send_replace(());
    }

    /// A new life has begun: only these numbers have been purged once.
    pub(crate) fn begin_again(&self, settled: Vec<(LineId, NumberRange)>) {
        self.applied.write().clear();
        self.settle(settled);
        self.moved.send_replace(());
    }

    /// Whether it flushes now, how often it has `more`, and which orders in force it has carried out.
    pub(crate) fn flushes(&self, flushing: bool, more: u64, obeyed: &[Uuid]) {
        let mut flushes = self.flushes.lock();
        let new = Flushes {
            flushing,
            count: flushes.count + more,
            obeyed: obeyed.iter().copied().collect(),
        };
        if *flushes != new {
            *flushes = new;
            drop(flushes);
            self.moved.send_replace(());
        }
    }

    /// All that counts of its cache is what `cursor` says.
    pub(crate) fn returned(&self, cursor: Cursor) {
        let mut returns = self.returns.lock();
        returns.count += 1;
        let number = returns.count;
        returns.cursors.push_back((number, Arc::new(cursor)));
        if returns.cursors.len() > CURSORS_MAX {
            returns.cursors.pop_front();
        }
        drop(returns);
        self.moved.send_replace(());
    }

    /// The cursors that it went back to after the return of that number, and the number of the latest.
    pub(crate) fn returned_since(&self, number: u64) -> (u64, Vec<Arc<Cursor>>) {
        let returns = self.returns.lock();
        let since = returns.cursors.iter().filter(|(at, _)| *at > number);
        (returns.count, since.map(|(_, cursor)| cursor.clone()).collect())
    }

    /// These lines are of no concern any more.
    pub(crate) fn forget(&self, lines: &[LineId]) {
        let mut applied = self.applied.write();
        for line in lines {
            applied.remove(line);
        }
    }

    /// Shows the latest report.
    pub(crate) fn show(&self, report: LaneReport, abilities: Option<Abilities>) {
        // Nobody waits for a cache that is paused.
        let paused = report.paused.iter().any(|pause| pause.site.is_none());
        let broken = report.circuit == CircuitState::Open || paused;
        if self.broken.swap(broken, Ordering::Relaxed) != broken {
            self.moved.send_replace(());
        }
        *self.latest.lock() = (report, abilities);
        self.news.notify_one();
    }

    /// The latest report, and what the cache can do.
    pub(crate) fn latest(&self) -> (LaneReport, Option<Abilities>) {
        self.latest.lock().clone()
    }

    /// Wakes whenever something was settled or the circuit has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

impl Inner for Progress {
    fn settled(&self, place: Place) -> bool {
        self.applied.read().get(&place.line).is_some_and(|floor| floor.has(place.number))
    }

    fn applied(&self, line: LineId) -> Number {
        self.applied.read().get(&line).map_or(0, Floor::number)
    }

    fn finals(&self) -> Floors {
        self.latest.lock().0.lines.iter().map(|line| (line.line, line.finished)).collect()
    }

    fn broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn flushing(&self) -> bool {
        self.flushes.lock().flushing
    }

    fn flushes(&self) -> u64 {
        self.flushes.lock().count
    }

    fn has_obeyed(&self, order: Uuid) -> bool {
        self.flushes.lock().obeyed.contains(&order)
    }
}
