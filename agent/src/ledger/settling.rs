//! What becomes of numbers: settled, deferred, refused, made up for, final.

use schemas::{LineId, Number, NumberRange, Outcome, Place};

use super::{Ledger, Located};
use crate::stretch::{Need, Numbers};

impl Ledger {
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
}
