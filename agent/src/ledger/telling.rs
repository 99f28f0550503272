//! What the books tell: heads and floors, every line for the cursor and for the report, where to resume.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_adapter::{Partition, Position};
use jiff::Timestamp;
use schemas::{LineCursor, LineId, LineReport, Number, NumberRange, OutcomeCounts, ResumeHint};

use super::{Ledger, Located};
use crate::Moment;
use crate::notes;
use crate::stretch::Stretches;

impl Ledger {
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
