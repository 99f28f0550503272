//! Later passes over the bound of memory: not their selectors are held, but which stretch of the log named them. It
//! is read again when a pass is due.
//!
//! ```text
//! number --join--> open --closed--> waits for its next delay --due--> read again and purged --+--> final
//!                                       ^                                                    |
//!                                       +------------------- more delays --------------------+
//! ```

mod pass;

use std::collections::BTreeMap;
use std::time::Duration;

use broker_adapter::{Partition, Position, Positions};
use jiff::Timestamp;
use rangemap::RangeInclusiveSet;
use schemas::{LineId, Number, Place};

use crate::Moment;
use crate::ledger::Located;

use pass::Pass;

/// A stretch takes in what settles within this time: its passes are at most so much later than due.
const OPEN_FOR: Duration = Duration::from_secs(2);
/// A stretch takes in at most so many numbers.
const NUMBERS_MAX: u64 = 100_000;
/// Most stretches: beyond it neighbours become one, which makes their passes later and never too early.
const STRETCHES_MAX: usize = 256;

/// Numbers of all lines.
pub(crate) type Numbers = BTreeMap<LineId, RangeInclusiveSet<Number>>;

/// What a number that joins still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// All passes, counted from when the inner lane will have settled it too.
    Inner,
    /// All passes, counted from now.
    Passes,
    /// The last pass once more.
    LastPass,
}

/// What has become of a stretch after a pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// These have had their last pass.
    pub(crate) finished: Numbers,
    /// These were not where they had been read: the log is not what it was.
    pub(crate) unmet: Numbers,
}

/// Where numbers were read within a partition.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: Position,
    time: Timestamp,
    last: Position,
}

/// Numbers that were read close together and wait for the same passes.
#[derive(Debug, Default)]
struct Stretch {
    members: Numbers,
    count: u64,
    spans: BTreeMap<Partition, Span>,
    opened: Moment,
    /// When the last of them settled; `None` as long as the inner lane has not settled all.
    settled: Option<Moment>,
    /// So many delays it has had.
    passed: usize,
}

impl Stretch {
    fn take_in(&mut self, place: Place, at: Located) {
        self.members.entry(place.line).or_default().insert(place.number..=place.number);
        self.count += 1;
        let Located { partition, position, time } = at;
        let new = Span { first: position, time, last: position };
        self.spans.entry(partition).and_modify(|span| span.widen(new)).or_insert(new);
    }

    fn merge(&mut self, other: Self) {
        for (line, numbers) in other.members {
            self.members.entry(line).or_default().extend(numbers);
        }
        self.count += other.count;
        for (partition, new) in other.spans {
            self.spans.entry(partition).and_modify(|span| span.widen(new)).or_insert(new);
        }
        self.settled = self.settled.zip(other.settled).map(|(one, two)| one.max(two));
        self.passed = self.passed.min(other.passed);
    }

    /// Whether `floor` has reached all of it on every line.
    fn below(&self, floor: impl Fn(LineId) -> Number) -> bool {
        let mut lines = self.members.iter();
        lines.all(|(line, numbers)| numbers.last().is_none_or(|last| *last.end() <= floor(*line)))
    }
}

impl Span {
    fn widen(&mut self, other: Self) {
        if other.first < self.first {
            (self.first, self.time) = (other.first, other.time);
        }
        self.last = self.last.max(other.last);
    }
}

/// All stretches of one lane: a bounded number of them, however much they hold.
#[derive(Debug)]
pub(crate) struct Stretches {
    delays: Vec<Duration>,
    /// What joins, by what it needs.
    open: BTreeMap<Need, Stretch>,
    waiting: Vec<Stretch>,
    pass: Option<Pass>,
}

impl Stretches {
    /// None, for a lane whose later passes come after these delays.
    pub(crate) fn new(mut delays: Vec<Duration>) -> Self {
        delays.sort_unstable();
        delays.dedup();
        Self { delays, open: BTreeMap::new(), waiting: Vec::new(), pass: None }
    }

    /// `place`, read `at`, is not held in memory any more.
    pub(crate) fn join(&mut self, place: Place, at: Located, need: Need, now: Moment) {
        let last = self.delays.last().copied().unwrap_or_default();
        let full = self.open.get(&need).is_some_and(|open| open.count >= NUMBERS_MAX);
        if full {
            self.close(need);
        }
        let (delays, new) = (self.delays.len(), Stretch { opened: now, ..Stretch::default() });
        let open = self.open.entry(need).or_insert(new);
        open.take_in(place, at);
        match need {
            Need::Inner => {}
            Need::Passes => open.settled = Some(now),
            Need::LastPass => {
                open.settled = Some(now.saturating_sub(last));
                open.passed = delays.saturating_sub(1);
            }
        }
    }

    fn close(&mut self, need: Need) {
        self.waiting.extend(self.open.remove(&need));
        if self.waiting.len() > STRETCHES_MAX {
            self.merge_neighbours();
        }
    }

    /// Two that have come equally far become one; the earliest, since the later ones will follow soon.
    fn merge_neighbours(&mut self) {
        let alike = |pair: &[Stretch]| {
            pair[0].passed == pair[1].passed
                && pair[0].settled.is_some() == pair[1].settled.is_some()
        };
        let at = self.waiting.windows(2).position(alike).unwrap_or(0);
        let next = self.waiting.remove(at + 1);
        self.waiting[at].merge(next);
    }

    /// Closes what was open for long enough, and lets passes count from `now` for what the inner lane, which has
    /// settled everything up to `applied`, does not hold up any more. Answers what needs no pass at all.
    pub(crate) fn advance(
        &mut self,
        applied: Option<&dyn Fn(LineId) -> Number>,
        now: Moment,
    ) -> Numbers {
        let free = |stretch: &Stretch| applied.is_none_or(|applied| stretch.below(applied));
        let closed = self.open.iter().filter(|(need, open)| match need {
            Need::Inner => free(open),
            Need::Passes | Need::LastPass => now >= open.opened + OPEN_FOR,
        });
        for need in closed.map(|(need, _)| *need).collect::<Vec<_>>() {
            self.close(need);
        }
        let unsettled = self.waiting.iter_mut().filter(|stretch| stretch.settled.is_none());
        unsettled.filter(|stretch| free(stretch)).for_each(|stretch| stretch.settled = Some(now));
        let mut finished = Numbers::new();
        if self.delays.is_empty() {
            for stretch in self.waiting.extract_if(.., |stretch| stretch.settled.is_some()) {
                for (line, numbers) in stretch.members {
                    finished.entry(line).or_default().extend(numbers);
                }
            }
        }
        finished
    }

    /// How many delays a pass that begins `now` would complete, if it completes any. The last one it does only
    /// where the inner lane is through: `finals` tells up to where, if there is one.
    fn completes(
        &self,
        stretch: &Stretch,
        finals: Option<&dyn Fn(LineId) -> Number>,
        now: Moment,
    ) -> Option<usize> {
        let settled = stretch.settled?;
        let due = self.delays.iter().take_while(|delay| settled + **delay <= now).count();
        if due <= stretch.passed {
            return None;
        }
        let through = finals.is_none_or(|finals| stretch.below(finals));
        let completes = if through { due } else { due.min(self.delays.len() - 1) };
        (completes > stretch.passed).then_some(completes)
    }

    /// Begins the pass that is due the longest, if one is and none is under way. Answers where to read from.
    pub(crate) fn begin(
        &mut self,
        finals: Option<&dyn Fn(LineId) -> Number>,
        now: Moment,
    ) -> Option<Positions> {
        if self.pass.is_some() {
            return None;
        }
        let due = self.waiting.iter().enumerate().filter_map(|(at, stretch)| {
            let completes = self.completes(stretch, finals, now)?;
            Some((self.next_of(stretch)?, at, completes))
        });
        let (_, at, completes) = due.min()?;
        let stretch = self.waiting.remove(at);
        let due = stretch.settled.unwrap_or_default() + self.delays[completes - 1];
        // How long the inner lane has been through is not known: only what comes from now on is certain to come after.
        let after_inner = finals.is_some() && completes == self.delays.len();
        let counts_from = if after_inner { now } else { due };
        let pass = Pass::new(stretch, completes, counts_from);
        let from = pass.begins_at();
        self.pass = Some(pass);
        Some(from)
    }

    fn next_of(&self, stretch: &Stretch) -> Option<Moment> {
        Some(stretch.settled? + *self.delays.get(stretch.passed)?)
    }

    /// When something is to be done without the inner lane: an open one closes, or a pass is due.
    pub(crate) fn next_due(
        &self,
        finals: Option<&dyn Fn(LineId) -> Number>,
        now: Moment,
    ) -> Option<Moment> {
        let closing = self.open.iter().filter(|(need, _)| **need != Need::Inner);
        let closing = closing.map(|(_, open)| open.opened + OPEN_FOR).min();
        let due = self.waiting.iter().filter(|_| self.pass.is_none()).filter_map(|stretch| {
            let next = self.next_of(stretch)?;
            (next > now || self.completes(stretch, finals, now).is_some()).then_some(next)
        });
        closing.into_iter().chain(due.min()).min()
    }

    /// Whether the pass under way wants more of the log.
    pub(crate) fn reading(&self) -> bool {
        self.pass.as_ref().is_some_and(Pass::reads)
    }

    /// How many purges of the pass under way have not come back.
    pub(crate) fn outstanding(&self) -> usize {
        self.pass.as_ref().map_or(0, |pass| pass.outstanding)
    }

    /// A number that was read again: from when on a purge of its selectors counts for the pass under way, and
    /// whether that is the last pass. `None` if it does not belong to it, or was met before.
    pub(crate) fn meet(&mut self, place: Place) -> Option<(Moment, bool)> {
        let pass = self.pass.as_mut()?;
        if !pass.meet(place) {
            return None;
        }
        Some((pass.counts_from, pass.completes == self.delays.len()))
    }

    /// The pass under way waits for one more purge.
    pub(crate) fn expect(&mut self) {
        if let Some(pass) = &mut self.pass {
            pass.outstanding += 1;
        }
    }

    /// A purge that the pass under way waited for has come back, or never will.
    pub(crate) fn landed(&mut self) {
        if let Some(pass) = &mut self.pass {
            pass.outstanding = pass.outstanding.saturating_sub(1);
        }
    }

    /// A message was read again, and what it holds was met.
    pub(crate) fn read(&mut self, partition: Partition, position: Position) {
        if let Some(pass) = &mut self.pass {
            pass.read(partition, position);
        }
    }

    /// Whether the pass under way is over, and with what.
    pub(crate) fn end(&mut self) -> Option<Ended> {
        let Pass { mut stretch, completes, unmet, .. } = self.pass.take_if(|pass| pass.over())?;
        for (line, numbers) in &unmet {
            let Some(members) = stretch.members.get_mut(line) else { continue };
            numbers.iter().for_each(|numbers| members.remove(numbers.clone()));
        }
        if completes == self.delays.len() {
            return Some(Ended { finished: stretch.members, unmet });
        }
        stretch.passed = completes;
        self.waiting.push(stretch);
        Some(Ended { finished: Numbers::new(), unmet })
    }

    fn all(&self) -> impl Iterator<Item = &Stretch> {
        let reading = self.pass.iter().map(|pass| &pass.stretch);
        self.open.values().chain(&self.waiting).chain(reading)
    }

    /// The lowest position of a partition, and the broker's time of it, from which they have members.
    pub(crate) fn lowest(&self, partition: Partition) -> Option<(Position, Timestamp)> {
        let spans = self.all().filter_map(|stretch| stretch.spans.get(&partition));
        spans.map(|span| (span.first, span.time)).min()
    }

    /// How many numbers they hold.
    pub(crate) fn numbers(&self) -> u64 {
        self.all().map(|stretch| stretch.count).sum()
    }

    /// How many ranges of numbers they hold: what they cost in memory.
    pub(crate) fn ranges(&self) -> usize {
        self.all().flat_map(|stretch| stretch.members.values()).map(RangeInclusiveSet::len).sum()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.pass.is_none() && self.open.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
