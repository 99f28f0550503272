//! What others have done to a cache that they share with this lane: as far as their cursors, which lie in that very
//! cache, tell that it was made up for, this lane need not flush it.
//!
//! ```text
//! a flush is due -> others asked -> all made up for     -> called off, or on from another's cursor
//!                                -> anything is not     -> flush
//! ```
//!
//! No lane relies on another: a cursor tells what was done, whoever did it and whether it still lives.

use std::time::Duration;

use jiff::Timestamp;
use rangemap::RangeInclusiveSet;
use schemas::{Cursor, LineCursor, Number, NumberRange};

use super::ordered::TOLD_LONGER;
use super::takeback::settled;
use super::{Failure, Machine};
use crate::Moment;
use crate::flush::Cause;
use crate::notes::is_gone;

/// Who flushes for a reason of its own waits for this part of the spread at most: it may not be ready meanwhile.
const OWN_SPREAD: f64 = 0.05;
/// More of the log than that is not purged again to spare the flush of what is new.
const READ_AGAIN: Duration = Duration::from_hours(1);

/// Whether those who share the cache have told what they have done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are asked before the next flush.
    Due,
    /// They are being asked.
    UnderWay,
    /// They have told.
    Told,
}

impl Machine {
    /// The cache is shared, and holds the cursors of all who share it: from now on they are asked.
    pub(crate) fn begin_asking_others(&mut self) {
        self.others = Some(Others::Due);
        let spread = self.purpose.config.flush_spread.mul_f64(OWN_SPREAD * self.jitter.f64());
        self.flush.spread(spread);
    }

    /// Whether the flush that is due waits for what the others tell.
    pub(super) fn waits_for_others(&self) -> bool {
        let told = self.others.is_none_or(|others| others == Others::Told);
        !told && self.flush.dispensable().is_some()
    }

    /// Forgets what was told for a flush that has begun or is not due any more.
    pub(super) fn tend_others(&mut self) {
        if self.others == Some(Others::Told) && self.flush.dispensable().is_none() {
            self.others = Some(Others::Due);
        }
    }

    /// Whether the others shall be asked now. Once they are, [`Machine::others_told`] or [`Machine::others_unheard`]
    /// must follow.
    pub(crate) fn asks_others(&mut self, now: Moment) -> bool {
        let due = self.abilities.is_some() && self.flush_at().is_some_and(|at| now >= at);
        let ask = due
            && self.waits_for_others()
            && self.others == Some(Others::Due)
            && now >= self.retry.again_at();
        if ask {
            self.others = Some(Others::UnderWay);
        }
        ask
    }

    /// What others have written: whatever it makes up for is so. Answers the cursor to go on from in place of a flush,
    /// if there is one.
    pub(crate) fn others_told(&mut self, cursors: Vec<Cursor>, now: Moment) -> Option<Cursor> {
        self.others = Some(Others::Told);
        let cause = self.flush.dispensable()?;
        let mut known = cursors;
        known.retain(|cursor| self.knows_all(cursor));
        if cause == Cause::Hole {
            for cursor in &known {
                cursor.lines.iter().for_each(|line| self.make_up_for_holes(line, now));
            }
            return None;
        }
        let told = self.purpose.retention.saturating_add(TOLD_LONGER);
        let old = if cause == Cause::Away { told } else { READ_AGAIN.min(told) };
        known.retain(|cursor| !self.is_older(cursor, old));
        let cursor = known.into_iter().max_by_key(newest)?;
        Some(self.with_own_orders(cursor))
    }

    /// The cache did not tell what others have written. Where it never will, the flush begins.
    pub(crate) fn others_unheard(&mut self, failure: Failure, now: Moment) {
        let refused = matches!(failure, Failure::Refused { .. });
        self.others = Some(if refused { Others::Told } else { Others::Due });
        if !refused {
            self.unable(failure, now);
        }
    }

    /// The cache was flushed, or as good as that, by others: whoever comes after it has to be, too.
    pub(crate) fn spared_a_flush(&mut self) {
        self.flush.was_spared();
    }

    /// Whether whoever wrote it purges in this cache all that this lane does.
    fn knows_all(&self, cursor: &Cursor) -> bool {
        let mut sites = self.sites().into_iter();
        cursor.region == self.purpose.region
            && !cursor.behind
            && self.purpose.parts.is_subset(&cursor.parts)
            && sites.all(|site| {
                let hosts = self.purpose.sites.get(&site).map(|site| &site.hosts);
                let theirs = cursor.hosts.get(&site);
                let hosts_known =
                    hosts.is_none_or(|hosts| theirs.is_some_and(|theirs| hosts.is_subset(theirs)));
                cursor.sites.contains(&site) && hosts_known
            })
    }

    /// Whether whoever wrote it had not read of the log what was there so long before this lane began.
    fn is_older(&self, cursor: &Cursor, age: Duration) -> bool {
        let until = newest(cursor).and_then(|newest| newest.checked_add(age).ok());
        let began = self.first_heard.max(self.resumed_at);
        until.is_none_or(|until| began.is_some_and(|began| until < began))
    }

    /// What is missing here and has had its last pass there is final here, too.
    fn make_up_for_holes(&mut self, theirs: &LineCursor, now: Moment) {
        for numbers in finals(theirs) {
            let Some(line) = self.ledger.lines.get_mut(&theirs.line) else { return };
            let (first, last) = (*numbers.start(), line.hearing.head().min(*numbers.end()));
            if first > last {
                continue;
            }
            for made_up in line.hearing.hear(NumberRange { first, last }, now) {
                self.ledger.made_up_by_others(theirs.line, made_up);
                self.settled.push(theirs.line, made_up);
                self.flush.was_spared();
            }
        }
    }

    /// The same cursor of a lane that has carried out its own orders, too.
    fn with_own_orders(&self, mut cursor: Cursor) -> Cursor {
        cursor.obeyed.extend(self.obeyed.iter().map(|(id, until)| (*id, *until)));
        cursor.obeyed.sort_unstable();
        cursor.obeyed.dedup_by_key(|(id, _)| *id);
        cursor
    }
}

/// Up to when the log had been read.
fn newest(cursor: &Cursor) -> Option<Timestamp> {
    cursor.hints.iter().map(|hint| hint.time).max()
}

/// The numbers that were purged for good: not those before its lane began, nor its dead letters, nor what it left.
fn finals(line: &LineCursor) -> RangeInclusiveSet<Number> {
    let mut finals = settled(line);
    finals.remove(0..=line.base);
    for (refused, _) in &line.refused {
        finals.remove(*refused..=*refused);
    }
    for (left, _) in line.exceptions.iter().filter(|(_, outcome)| !is_gone(*outcome)) {
        finals.remove(left.first..=left.last);
    }
    finals
}

#[cfg(test)]
mod tests;
