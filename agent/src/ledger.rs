//! The books of a lane: what is heard, settled and final on every line, and where to resume.

mod settling;
mod telling;
mod unbegun;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use broker_adapter::{Partition, Position, Positions};
use jiff::Timestamp;
use schemas::{ClosedLine, Cursor, LineId, NumberRange, Outcome, OutcomeCounts, Place};

use crate::Moment;
use crate::line::Line;
use crate::map::Map;
use crate::stretch::Need;

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
}

#[cfg(test)]
mod tests;
