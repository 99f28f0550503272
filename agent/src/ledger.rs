//! The books of a lane: what is heard, settled and final on every line, and where to resume.

mod unbegun;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use broker_adapter::{Partition, Position, Positions};
use jiff::Timestamp;
use schemas::{
    ClosedLine, Cursor, LineCursor, LineId, LineReport, Number, NumberRange, Outcome,
    OutcomeCounts, Place, ResumeHint,
};

use crate::Moment;
use crate::line::Line;
use crate::map::Map;
use crate::notes;
use crate::stretch::{Need, Numbers, Stretches};

/// Where a message was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its partition.
    pub(crate) partition: Partition,
    /// Its position there.
    pub(crate) position: Position,
    /// The broker's time of it.
    pub(crate) time: Timestamp,
}

/// One number that is not final yet.
#[derive(Debug)]
pub(crate) struct Account {
    unsettled: u32,
    unfinished: u32,
    worst: Outcome,
    /// The same without dead letters, which may be made up for.
    worst_else: Outcome,
    at: Located,
    /// Its later passes are not held in memory, and which they are.
    deferred: Option<Need>,
}

/// All books of one lane.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The lines it knows.
    pub(crate) lines: Map<LineId, Line>,
    /// What was heard when: the oldest first, and what came together as one.
    heard: VecDeque<(Moment, LineId, NumberRange)>,
    unsettled: usize,
    selectors: usize,
    read_up_to: BTreeMap<Partition, Located>,
    outcomes: OutcomeCounts,
    joining: Vec<(Place, Located, Need)>,
}

impl Ledger {
    /// The books as an earlier life left them.
    pub(crate) fn resumed(cursor: &Cursor, now: Moment) -> Self {
        let flushed = cursor.flushed.as_ref().map_or(&[][..], |flushed| &flushed.numbers);
        let lines = cursor.lines.iter().map(|line| {
            let of_line = flushed.iter().filter(|(flushed, _)| *flushed == line.line);
            let flushed: Vec<_> = of_line.map(|(_, numbers)| *numbers).collect();
            (line.line, Line::resumed(line, &flushed, now))
        });
        let mut ledger = Self { lines: lines.collect(), ..Self::default() };
        for hint in &cursor.hints {
            ledger.resume_at(Partition(hint.partition), Position(hint.position), hint.time);
        }
        ledger.close(&cursor.closed);
        ledger
    }

    /// These lines are closed; others do not concern these books.
    pub(crate) fn close(&mut self, closed: &[ClosedLine]) {
        for closed in closed {
            let Some(line) = self.lines.get_mut(&closed.line) else { continue };
            match &mut line.closed {
                Some(known) if known.last == closed.last => {
                    known.since = known.since.min(closed.since);
                }
                known => *known = Some(*closed),
            }
        }
    }

    /// Forgets the lines that are over and fulfil `gone`, and answers which.
    pub(crate) fn forget(&mut self, gone: impl Fn(&Line, &ClosedLine) -> bool) -> Vec<LineId> {
        let over = self
            .lines
            .iter()
            .filter(|(_, line)| line.over().is_some_and(|closed| gone(line, &closed)));
        let over: Vec<LineId> = over.map(|(id, _)| *id).collect();
        for line in &over {
            self.lines.remove(line);
        }
        over
    }

    /// The lines that are closed, for the cursor.
    pub(crate) fn closed(&self) -> Vec<ClosedLine> {
        let mut closed: Vec<_> = self.lines.values().filter_map(|line| line.closed).collect();
        closed.sort_unstable_by_key(|closed| closed.line);
        closed
    }

    /// Where reading begins when nothing was read yet.
    pub(crate) fn resume_at(&mut self, partition: Partition, position: Position, time: Timestamp) {
        self.read_up_to.insert(partition, Located { partition, position, time });
    }

    /// A message was read, whatever it held. Answers whether its partition has jumped back.
    pub(crate) fn read(&mut self, at: Located) -> bool {
        let next = Located { position: Position(at.position.0.saturating_add(1)), ..at };
        let before = self.read_up_to.insert(at.partition, next);
        before.is_some_and(|before| at.position < before.position)
    }

    /// What is read next of every partition.
    pub(crate) fn next_positions(&self) -> Positions {
        self.read_up_to.values().map(|next| (next.partition, next.position)).collect()
    }

    /// What of a partition is read next, if that is known.
    pub(crate) fn read_up_to(&self, partition: Partition) -> Option<Position> {
        self.read_up_to.get(&partition).map(|next| next.position)
    }

    /// `place` was heard and has so many selectors to purge.
    pub(crate) fn open(&mut self, place: Place, selectors: u32, at: Located, now: Moment) {
        let Some(line) = self.lines.get_mut(&place.line) else { return };
        let account = Account {
            unsettled: selectors,
            unfinished: selectors,
            worst: Outcome::NotOurs,
            worst_else: Outcome::NotOurs,
            at,
            deferred: None,
        };
        line.accounts.insert(place.number, account);
        self.unsettled += 1;
        self.selectors += selectors as usize;
        match self.heard.back_mut() {
            Some((heard, line, numbers))
                if *heard == now
                    && *line == place.line
                    && numbers.last.checked_add(1) == Some(place.number) =>
            {
                numbers.last = place.number;
            }
            _ => {
                let numbers = NumberRange { first: place.number, last: place.number };
                self.heard.push_back((now, place.line, numbers));
            }
        }
    }

    /// One selector of `place` has had its first pass. Answers whether that settled the number.
    pub(crate) fn settle(&mut self, place: Place, outcome: Outcome) -> bool {
        let Some(line) = self.lines.get_mut(&place.line) else { return false };
        let Some(account) = line.accounts.get_mut(place.number) else { return false };
        if account.unsettled == 0 {
            return false;
        }
        account.worst = account.worst.max(outcome);
        if outcome != Outcome::Refused {
            account.worst_else = account.worst_else.max(outcome);
        }
        account.unsettled -= 1;
        self.selectors -= 1;
        if account.unsettled > 0 {
            return false;
        }
        let (worst, worst_else) = (account.worst, account.worst_else);
        let deferred = account.deferred.is_some();
        self.unsettled -= 1;
        self.outcomes.add(worst, 1);
        let number = NumberRange { first: place.number, last: place.number };
        line.applied.settle(number);
        if matches!(worst_else, Outcome::Covered | Outcome::Expired | Outcome::Cancelled) {
            line.notes.note(number, worst_else);
        }
        if deferred {
            self.let_go(place);
        }
        true
    }

    /// The later passes of one selector of `place`, or its last one once more, are not held in memory: once nothing
    /// of `place` is, [`Ledger::take_joining`] tells it.
    pub(crate) fn defer(&mut self, place: Place, need: Need) {
        let line = self.lines.get_mut(&place.line);
        let account = line.and_then(|line| line.accounts.get_mut(place.number));
        let Some(account) = account else { return };
        account.deferred = Some(account.deferred.map_or(need, |before| before.min(need)));
        if need == Need::LastPass {
            account.unfinished = account.unfinished.saturating_sub(1);
        }
        self.let_go(place);
    }

    /// Lets go what is deferred and settled. What lacks nothing but a last pass waits until each of its selectors has
    /// had one: that of another may not be due yet.
    fn let_go(&mut self, place: Place) {
        let Some(line) = self.lines.get_mut(&place.line) else { return };
        let Some(account) = line.accounts.get(place.number) else { return };
        let Some(need) = account.deferred.filter(|_| account.unsettled == 0) else { return };
        if need == Need::LastPass && account.unfinished > 0 {
            return;
        }
        self.joining.push((place, account.at, need));
        line.accounts.remove(place.number);
    }

    /// The numbers that are settled and whose later passes are remembered elsewhere from now on.
    pub(crate) fn take_joining(&mut self) -> Vec<(Place, Located, Need)> {
        std::mem::take(&mut self.joining)
    }

    /// These numbers are settled and final as soon as they are heard: they are none of this cache's business.
    pub(crate) fn pass_over(&mut self, line: LineId, numbers: NumberRange) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.applied.settle(numbers);
            line.finished.settle(numbers);
            self.outcomes.add(Outcome::NotOurs, numbers.last - numbers.first + 1);
        }
    }

    /// One more dead letter stands for `place`; part of the cursor before that passes it.
    pub(crate) fn refuse(&mut self, place: Place) {
        if let Some(line) = self.lines.get_mut(&place.line) {
            *line.refused.entry(place.number).or_default() += 1;
        }
    }

    /// A dead letter that stood for these numbers is no more: those for which no other stands have ended so.
    pub(crate) fn make_up_for(&mut self, numbers: &Numbers, outcome: Outcome) {
        for (line, ranges) in numbers {
            let Some(line) = self.lines.get_mut(line) else { continue };
            for number in ranges.iter().flat_map(std::clone::Clone::clone) {
                line.absolve(number, outcome);
            }
        }
    }

    /// The numbers of a range that ended as dead letters.
    pub(crate) fn refused(&self, line: LineId, numbers: NumberRange) -> Vec<Number> {
        let Some(line) = self.lines.get(&line) else { return Vec::new() };
        line.refused.range(numbers.first..=numbers.last).map(|(number, _)| *number).collect()
    }

    /// One selector of `place` has had its last pass.
    pub(crate) fn finish(&mut self, place: Place) {
        let Some(line) = self.lines.get_mut(&place.line) else { return };
        let Some(account) = line.accounts.get_mut(place.number) else { return };
        account.unfinished = account.unfinished.saturating_sub(1);
        if account.deferred.is_some() {
            return self.let_go(place);
        }
        if account.unfinished > 0 || account.unsettled > 0 {
            return;
        }
        line.accounts.remove(place.number);
        line.finished.settle(NumberRange { first: place.number, last: place.number });
    }

    /// These numbers have had their last pass.
    pub(crate) fn finish_all(&mut self, numbers: &Numbers) {
        for (line, numbers) in numbers {
            let Some(line) = self.lines.get_mut(line) else { continue };
            for range in numbers.iter() {
                line.finished.settle(NumberRange { first: *range.start(), last: *range.end() });
            }
        }
    }

    /// A flush made up for numbers that were never heard: they are applied.
    pub(crate) fn flushed(&mut self, line: LineId, numbers: NumberRange) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.applied.settle(numbers);
            line.notes.note(numbers, Outcome::Flushed);
            self.outcomes.add(Outcome::Flushed, numbers.last - numbers.first + 1);
        }
    }

    /// Others who share the cache made up for numbers that were never heard here: they are final.
    pub(crate) fn made_up_by_others(&mut self, line: LineId, numbers: NumberRange) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.applied.settle(numbers);
            line.finished.settle(numbers);
            line.notes.note(numbers, Outcome::Covered);
            self.outcomes.add(Outcome::Covered, numbers.last - numbers.first + 1);
        }
    }

    /// The flush that made up for these numbers has had its last pass.
    pub(crate) fn flush_finished(&mut self, line: LineId, numbers: NumberRange) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.finished.settle(numbers);
        }
    }

    /// Whether something is missing for `age` or longer.
    pub(crate) fn lacks(&self, now: Moment, age: Duration) -> bool {
        self.lines.values().any(|line| line.hearing.lacks_for(now, age))
    }

    /// How many numbers are heard and not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// How many selectors they have that are not settled.
    pub(crate) fn selectors(&self) -> usize {
        self.selectors
    }

    /// Since when the oldest of them waits.
    pub(crate) fn oldest_unsettled(&mut self) -> Option<Moment> {
        while let Some((heard, line, numbers)) = self.heard.front_mut() {
            let line = self.lines.get(line);
            let unsettled = |number| {
                let account = line.and_then(|line| line.accounts.get(number));
                account.is_some_and(|account| account.unsettled > 0)
            };
            if let Some(first) = (numbers.first..=numbers.last).find(|number| unsettled(*number)) {
                numbers.first = first;
                return Some(*heard);
            }
            self.heard.pop_front();
        }
        None
    }

    /// The highest number known of every line.
    pub(crate) fn heads(&self) -> Vec<(LineId, Number)> {
        self.lines.iter().map(|(id, line)| (*id, line.hearing.head())).collect()
    }

    /// All numbers of `line` up to here have been purged once.
    pub(crate) fn applied(&self, line: LineId) -> Number {
        self.lines.get(&line).map_or(0, |line| line.applied.number())
    }

    /// Everything that has been purged once.
    pub(crate) fn applied_ranges(&self) -> Vec<(LineId, NumberRange)> {
        self.lines
            .iter()
            .flat_map(|(id, line)| {
                let floor = NumberRange { first: 0, last: line.applied.number() };
                std::iter::once(floor).chain(line.applied.above()).map(|range| (*id, range))
            })
            .collect()
    }

    /// How many ranges the floors hold in memory.
    pub(crate) fn ranges(&self) -> usize {
        self.lines.values().map(|line| line.applied.ranges().max(line.finished.ranges())).sum()
    }

    /// What became of everything so far.
    pub(crate) fn outcomes(&self) -> OutcomeCounts {
        self.outcomes
    }

    /// Numbers known to exist and not settled, on all lines.
    pub(crate) fn lag(&self) -> u64 {
        self.lines.values().fold(0, |sum, line| sum.saturating_add(line.lag()))
    }

    /// Every line for the cursor.
    pub(crate) fn cursors(&self) -> Vec<LineCursor> {
        let mut lines: Vec<_> = self.lines.iter().map(|(id, line)| line.cursor(*id)).collect();
        lines.sort_unstable_by_key(|line| line.line);
        notes::fit_in_cursor(&mut lines);
        lines
    }

    /// Every line for the report; holes are those older than `grace`.
    pub(crate) fn reports(&self, now: Moment, grace: Duration) -> Vec<LineReport> {
        let mut lines: Vec<_> = self
            .lines
            .iter()
            .map(|(id, line)| line.report(*id, line.hearing.holes(now, grace)))
            .collect();
        lines.sort_unstable_by_key(|line| line.line);
        lines
    }

    /// Per partition the lowest position not final, else where reading goes on.
    pub(crate) fn hints(&self, stretches: &Stretches) -> Vec<ResumeHint> {
        let accounts = self.lines.values().flat_map(|line| line.accounts.values());
        let joining = self.joining.iter().map(|(_, at, _)| at);
        let mut lowest: BTreeMap<Partition, (Position, Timestamp)> = BTreeMap::new();
        for at in accounts.map(|account| &account.at).chain(joining) {
            let place = (at.position, at.time);
            let lowest = lowest.entry(at.partition).or_insert(place);
            *lowest = place.min(*lowest);
        }
        let hint = |next: &Located| {
            let held = lowest.get(&next.partition).copied();
            let lowest = held.into_iter().chain(stretches.lowest(next.partition)).min();
            let (position, time) = lowest.unwrap_or((next.position, next.time));
            ResumeHint { partition: next.partition.0, position: position.0, time }
        };
        self.read_up_to.values().map(hint).collect()
    }
}

#[cfg(test)]
mod tests;
