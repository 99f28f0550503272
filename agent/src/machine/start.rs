//! How a lane begins: where it reads, what it owes from there on, and from when on it is to be counted upon.

use std::collections::BTreeSet;
use std::time::Duration;

use broker_adapter::{Bounds, Partition, Position, Positions};
use jiff::Timestamp;
use schemas::{Cursor, LineId, Number};

use super::{Acquaintance, Machine, WAITS_FOR_HUMAN};
use crate::Moment;
use crate::flush::Cause;
use crate::ledger::Located;

/// How long a lane listens at its start before it takes stock.
const LISTEN: Duration = Duration::from_secs(2);

/// How far a lane has come since it started.
#[derive(Debug)]
pub(super) struct Start {
    stage: Stage,
    /// Whether it has no cursor yet: lines heard now begin where they are.
    joining: bool,
    started: Moment,
    /// When the broker told what it keeps.
    begun: Option<Moment>,
    /// When anything was last read.
    heard: Option<Moment>,
    heard_publisher: bool,
    /// Where each partition ended at the start, as long as it was not read up to there.
    ends: Positions,
    /// The same for a lane without a cursor: what lies below is of no concern to it, or replayed.
    replayed_until: Positions,
    /// The partitions that were read.
    read: BTreeSet<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nobody was heard yet, or not all that the log held.
    Listening,
    /// These heads were seen at the start; the floors have not reached them.
    CatchingUp(Vec<(LineId, Number)>),
    /// It has caught up once.
    Done,
}

impl Start {
    /// A lane that begins now, with a cursor or `joining`.
    pub(super) fn new(joining: bool, now: Moment) -> Self {
        Self {
            stage: Stage::Listening,
            joining,
            started: now,
            begun: None,
            heard: None,
            heard_publisher: false,
            ends: Positions::new(),
            replayed_until: Positions::new(),
            read: BTreeSet::new(),
        }
    }

    /// The same lane in a new life: one that was counted upon still is, whatever it has to do again.
    fn again(&self, joining: bool, now: Moment) -> Self {
        let stage = if self.done() { Stage::Done } else { Stage::Listening };
        Self { stage, started: self.started, ..Self::new(joining, now) }
    }

    /// Whether it has no cursor yet.
    pub(super) fn joining(&self) -> bool {
        self.joining
    }

    /// When it has listened long enough to take its base.
    pub(super) fn joined_at(&self) -> Option<Moment> {
        self.begun.filter(|_| self.joining).map(|begun| begun + LISTEN)
    }

    /// Whether it has caught up once.
    pub(super) fn done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether anything was read since the start.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Since when it listens.
    pub(super) fn begun(&self) -> Option<Moment> {
        self.begun
    }

    /// Whether a line first heard `at` begins there, and not at its first number.
    pub(super) fn begins_at(&self, at: Located) -> bool {
        self.joining || self.replayed_until.get(&at.partition).is_some_and(|end| at.position < *end)
    }

    /// A message was read; its partition may have `jumped` back. Answers whether it is the first of this life.
    pub(super) fn read(&mut self, at: Located, jumped: bool, now: Moment) -> bool {
        let again = !self.read.insert(at.partition);
        if jumped && again {
            self.ends.remove(&at.partition);
            self.replayed_until.remove(&at.partition);
        }
        let next = Position(at.position.0.saturating_add(1));
        let reached = |end: &Position| *end <= next;
        if self.ends.get(&at.partition).is_some_and(reached) {
            self.ends.remove(&at.partition);
        }
        if self.replayed_until.get(&at.partition).is_some_and(reached) {
            self.replayed_until.remove(&at.partition);
        }
        self.heard.replace(now).is_none()
    }

    /// A publisher was heard.
    pub(super) fn heard_publisher(&mut self) {
        self.heard_publisher = true;
    }

    /// Whether all that the log held at the start was read, and someone was heard for long enough.
    fn listened(&self, now: Moment) -> bool {
        let long_enough = self.begun.is_some_and(|begun| now >= begun + LISTEN);
        self.heard_publisher && self.ends.is_empty() && long_enough
    }

    /// Whether nothing was read for so long.
    fn silent(&self, patience: Option<Duration>, now: Moment) -> bool {
        let since = self.heard.unwrap_or(self.started);
        patience.is_some_and(|patience| now.saturating_sub(since) >= patience)
    }
}

impl Machine {
    /// A new life, of which a report takes back what the last one claimed: from `cursor`, or without one, by a lane
    /// whose cache has lost what was done there. Reading begins again too. Nothing may be under way to the cache.
    pub(crate) fn begin_again(&mut self, cursor: Option<&Cursor>, now: Moment) {
        let mut purpose = self.purpose.clone();
        // It has been filled since.
        purpose.config.starts_empty = false;
        let next = Self::new(purpose, cursor, self.inner.clone(), self.jitter.fork(), now);
        let start = self.start.again(next.start.joining(), now);
        let last = std::mem::replace(self, next);
        // Only another life counts, and anybody may have written the cursor.
        self.life = last.life.max(self.life).wrapping_add(1);
        self.start = start;
        self.abilities = last.abilities;
        self.acquaintance = last.acquaintance;
        self.newest = last.newest;
        self.next_flight = last.next_flight;
        self.retry = last.retry;
        self.flushes_begun = last.flushes_begun;
        self.bidden = last.bidden;
        self.pauses = last.pauses;
        self.cancelled = last.cancelled;
        self.followed = last.followed;
        self.behind |= last.behind;
        self.time = last.time;
        if last.others.is_some() {
            self.begin_asking_others();
        }
        let kept = self.letters.succeed(last.letters);
        self.adopt(kept);
    }

    /// Whether nothing is under way to the cache, and it need not be left alone any more.
    pub(crate) fn may_be_asked(&self, now: Moment) -> bool {
        let asked = self.acquaintance == Acquaintance::UnderWay;
        self.flights.is_empty() && !asked && now >= self.again_at()
    }

    /// Until when the cache is left alone.
    pub(crate) fn again_at(&self) -> Moment {
        self.retry.again_at()
    }

    /// The broker has told what it `kept` at its `time`. Answers where a lane without a cursor reads: from where the
    /// log ends now, or from its oldest for a shared cache, to which the log is replayed.
    pub(crate) fn begin(&mut self, kept: &Bounds, time: Timestamp, now: Moment) -> Positions {
        self.start.begun = Some(now);
        let mut from = Positions::new();
        for (partition, kept) in kept {
            if self.start.joining {
                let shared = self.purpose.config.shared;
                let position = if shared { kept.first } else { kept.end };
                self.ledger.resume_at(*partition, position, time);
                self.start.replayed_until.insert(*partition, kept.end);
                from.insert(*partition, position);
            }
            let read_up_to = self.ledger.read_up_to(*partition);
            if kept.first < kept.end && read_up_to != Some(kept.end) {
                self.start.ends.insert(*partition, kept.end);
            }
        }
        from
    }

    /// After listening at its start: flushes a cache without a cursor, and notes the heads to be reached.
    pub(super) fn take_stock(&mut self, now: Moment) {
        if self.start.joined_at().is_some_and(|at| now >= at) {
            self.start.joining = false;
            if !self.purpose.config.starts_empty && !self.purpose.config.shared {
                let sites = self.sites();
                self.must_flush(now, Cause::NoCursor, sites);
            }
        }
        if !self.start.has_heard() {
            self.lookup.keep_doubting(now);
        }
        match self.start.stage {
            // A broker that is silent now must not keep a whole site waiting.
            Stage::Listening | Stage::CatchingUp(_)
                if self.start.silent(self.purpose.ready_fail_open_after, now) =>
            {
                self.start.stage = Stage::CatchingUp(Vec::new());
            }
            Stage::Listening if self.start.listened(now) => {
                self.start.stage = Stage::CatchingUp(self.ledger.heads());
            }
            _ => {}
        }
    }

    pub(super) fn watch_start(&mut self) {
        let Stage::CatchingUp(heads) = &self.start.stage else { return };
        let reached = heads.iter().all(|(line, head)| self.ledger.applied(*line) >= *head);
        if reached && self.flush.idle() && self.abilities.is_some() {
            self.start.stage = Stage::Done;
        }
    }

    /// Why the lane is not to be counted upon yet, in words.
    pub(crate) fn not_ready_because(&self) -> Option<String> {
        let because = match &self.start.stage {
            Stage::Done => return None,
            _ if self.abilities.is_none() => "the cache has not answered yet",
            _ if !self.flush.idle() => "a flush is due",
            Stage::Listening if self.start.begun.is_none() => "the broker has not answered yet",
            Stage::Listening if !self.start.heard_publisher => "no publisher was heard yet",
            Stage::Listening => "reading what was published before the start",
            Stage::CatchingUp(_) => "catching up with what was published before the start",
        };
        let held = self.flush.held().map(|_| WAITS_FOR_HUMAN);
        let error = held.or(self.last_error.as_deref()).map(|error| format!(": {error}"));
        Some(format!("{because}{}", error.unwrap_or_default()))
    }
}
