//! Later passes for which the log is read again: over the bound of memory, and where the inner lane was late.

use std::sync::Arc;

use broker_adapter::Positions;
use schemas::{Ability, Frame, LineId, LogMessage, NumberRange, Place};

use super::Machine;
use crate::Moment;
use crate::batch::Waiter;
use crate::driver::Purge;
use crate::ledger::Located;
use crate::order::Floors;
use crate::rebound::Rebounds;
use crate::stretch::Need;

/// So many purges of what was read again wait at once: no more than that are in the way of what is new.
const AGAIN_MAX: usize = 1_000;

impl Machine {
    /// Whether no more is held in memory for later passes, of which so many are `coming`: from the bound on, until half
    /// of it is gone. So those who are not held follow each other, and cost next to nothing. Letters are held all the
    /// same: they have a bound of their own.
    pub(super) fn defers(&mut self, coming: usize) -> bool {
        let held = self.rebounds.waiters() + self.parked.len() + coming;
        let bound = self.purpose.config.rebound_selectors;
        self.deferring = if self.deferring { held > bound / 2 } else { held >= bound };
        self.deferring
    }

    /// How far the inner lane's last passes had come a hop ago, if there is one.
    pub(super) fn finals_known(&self, now: Moment) -> Option<Arc<Floors>> {
        self.inner.is_some().then(|| self.finals.known(now))
    }

    /// A purge that began at `started` counts for what is read again later.
    pub(super) fn remember_purge(&mut self, purge: &Purge, started: Moment) {
        if !self.stretches.is_empty() {
            self.recent.purged(purge, started);
        }
    }

    /// Takes in what settled and is not held in memory, and ends a pass that is over.
    pub(super) fn tend_stretches(&mut self, now: Moment) {
        let inner = self.inner.clone();
        for (place, at, need) in self.ledger.take_joining() {
            let held_up = inner.as_ref().is_some_and(|inner| !inner.settled(place));
            self.stretches.join(place, at, if held_up { Need::Inner } else { need }, now);
        }
        let applied = inner.as_ref().map(|inner| |line: LineId| inner.applied(line));
        let applied = applied.as_ref().map(|applied| applied as &dyn Fn(LineId) -> u64);
        let finished = self.stretches.advance(applied, now);
        self.ledger.finish_all(&finished);
        self.end_pass(now);
        if let Some(inner) = inner.filter(|_| self.waits_for_last_passes()) {
            self.finals.look(inner.as_ref(), now);
        }
    }

    fn waits_for_last_passes(&self) -> bool {
        self.rebounds.len() > 0 || !self.stretches.is_empty()
    }

    fn end_pass(&mut self, now: Moment) {
        let Some(ended) = self.stretches.end() else { return };
        self.ledger.finish_all(&ended.finished);
        for (line, numbers) in &ended.unmet {
            let Some(line) = self.ledger.lines.get_mut(line) else { continue };
            // What the log does not hold any more where it was: looked up, asked for, or flushed for, as any hole.
            for range in numbers.iter() {
                let numbers = NumberRange { first: *range.start(), last: *range.end() };
                line.hearing.miss(numbers, now);
            }
            self.lookup.doubt(now);
        }
        if self.stretches.is_empty() {
            self.recent.forget();
        }
    }

    /// When something is to be done for them.
    pub(super) fn again_due(&self, now: Moment) -> Option<Moment> {
        let known = self.finals_known(now);
        let finals = known.as_ref().map(|finals| |line| finals.get(&line).copied().unwrap_or(0));
        let finals = finals.as_ref().map(|finals| finals as &dyn Fn(LineId) -> u64);
        let due = self.stretches.next_due(finals, now);
        let waits = self.inner.is_some() && self.waits_for_last_passes();
        let look = self.finals.next_look().filter(|_| waits);
        due.into_iter().chain(look).min()
    }

    /// Where a pass that begins now reads the log from, beside reading on. Its messages go to
    /// [`Machine::hear_again`], as long as it [wants](Machine::wants_again) them.
    pub(crate) fn read_again(&mut self, now: Moment) -> Option<Positions> {
        self.abilities.as_ref()?;
        let known = self.finals_known(now);
        let finals = known.as_ref().map(|finals| |line| finals.get(&line).copied().unwrap_or(0));
        let finals = finals.as_ref().map(|finals| finals as &dyn Fn(LineId) -> u64);
        let from = self.stretches.begin(finals, now)?;
        let mut positions = self.ledger.next_positions();
        positions.extend(from);
        Some(positions)
    }

    /// Whether a pass reads the log.
    pub(crate) fn reads_again(&self) -> bool {
        self.stretches.reading()
    }

    /// Whether the next message may be given to it now.
    pub(crate) fn wants_again(&self) -> bool {
        self.stretches.reading() && self.stretches.outstanding() < AGAIN_MAX
    }

    /// A message that was read again, if it was understood.
    pub(crate) fn hear_again(&mut self, message: Option<LogMessage>, at: Located, now: Moment) {
        if let Some(LogMessage::Frame(frame)) = message {
            self.purge_again(&frame, now);
        }
        self.stretches.read(at.partition, at.position);
        self.end_pass(now);
    }

    fn purge_again(&mut self, frame: &Frame, now: Moment) {
        if !self.has_our_priority(frame) {
            return;
        }
        for (number, invalidation) in (frame.first..).zip(&frame.invalidations) {
            let place = Place { line: frame.line, number };
            let Some((since, last)) = self.stretches.meet(place) else { continue };
            for selector in &invalidation.selectors {
                let able = self.ability(selector) == Ability::Supported;
                if !able || self.belongs(&invalidation.site, selector).is_err() {
                    continue;
                }
                let purge = self.purge_for(invalidation, selector);
                let skipped = !last && Rebounds::only_last(&purge);
                if !skipped && !self.recent.has(&purge, since) {
                    self.stretches.expect();
                    self.queue.add(purge, Waiter::Again(place), now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use broker_adapter::Bounds;
    use jiff::Timestamp;
    use schemas::Selector;

    use super::super::samples;
    use super::*;
    use crate::config::LaneConfig;
    use crate::driver::Fetches;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_the_log_does_not_hold_any_more_is_missing_like_any_hole() {
        let config =
            LaneConfig { starts_empty: true, rebound_selectors: 0, ..LaneConfig::default() };
        let purpose = samples::purpose(config, vec![SECOND]);
        let rng = fastrand::Rng::with_seed(1);
        let mut machine = Machine::new(purpose, None, None, rng, Moment::ZERO);
        machine.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
        let (line, mut now) = (LineId::from_bytes([1; 16]), 3 * SECOND);
        machine.tick(now);
        assert!(machine.ask(now));
        machine.able(samples::abilities(9), now);
        let frame =
            |number| samples::frame(line, number, vec![Selector::Tag("a".parse().expect("a tag"))]);
        let at = |position| samples::located(position, Timestamp::UNIX_EPOCH);
        for number in 1..=3_u64 {
            let position = usize::try_from(number).expect("small");
            machine.hear(frame(number), at(position), now).expect("fit to be heard");
        }
        machine.tick(now);
        let job = machine.take(now).expect("a batch");
        machine.done(job.id, Ok(Fetches::Unfenced), now);
        machine.tick(now);
        now += 3 * SECOND;
        machine.tick(now);
        machine.read_again(now).expect("a pass is due");
        machine.hear_again(Some(frame(1)), at(1), now);
        machine.hear_again(None, at(3), now);
        let job = machine.take(now).expect("the pass of what was met");
        machine.done(job.id, Ok(Fetches::Unfenced), now);
        machine.tick(now);
        let report = machine.report(now + 60 * SECOND);
        // The second was held in memory.
        assert_eq!((report.lines[0].applied, report.lines[0].finished), (3, 2));
        assert_eq!(report.lines[0].holes, [NumberRange { first: 3, last: 3 }]);
    }
}
