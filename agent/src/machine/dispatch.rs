//! What a lane sends to its cache, and what comes back.

use std::time::Duration;

use schemas::{Abilities, Ability, CircuitState, NumberRange, Outcome, Place};

use super::{Acquaintance, Begun, Failure, Flight, Job, Machine};
use crate::Moment;
use crate::batch::{Entry, Waiter};
use crate::driver::{Fetches, Purge};
use crate::letters::Why;
use crate::stretch::Need;

/// Batches under way at once: one is being answered while the next is written.
const FLIGHTS_MAX: usize = 2;

impl Machine {
    /// Whether the driver shall be asked for its abilities now. Once it is, [`Machine::able`] or
    /// [`Machine::unable`] must follow.
    pub(crate) fn ask(&mut self, now: Moment) -> bool {
        let ask = self.acquaintance == Acquaintance::Due
            && self.may_ask()
            && self.flights.is_empty()
            && now >= self.retry.again_at();
        if ask {
            self.acquaintance = Acquaintance::UnderWay;
        }
        ask
    }

    /// To ask may take a purge of the driver's own: a paused cache is left alone once it is known.
    fn may_ask(&self) -> bool {
        self.abilities.is_none() || !self.pauses.all()
    }

    /// What the cache can do. What waits and can no longer be done is settled as such.
    pub(crate) fn able(&mut self, abilities: Abilities, now: Moment) {
        self.acquaintance = Acquaintance::Made;
        let unable =
            self.queue.extract(|purge| abilities.of(purge.selector.kind()) != Ability::Supported);
        self.abilities = Some(abilities);
        for entry in unable {
            let why = Why::of("the cache can no longer do this");
            self.give_up(entry, Outcome::Unsupported, why, now);
        }
        self.release(now);
        // It answers, which is not yet that it purges: what waits will show that.
        if self.queue.len() == 0 {
            self.retry.succeeded();
            self.last_error = None;
        } else {
            self.retry.answered();
        }
    }

    /// The cache did not tell its abilities.
    pub(crate) fn unable(&mut self, failure: Failure, now: Moment) {
        self.acquaintance = Acquaintance::Due;
        match failure {
            Failure::Unavailable { after, error } => self.failed(after, error, now),
            Failure::Refused { error, .. } => self.failed(None, error, now),
        }
    }

    /// The next batch, if one shall go out now.
    pub(crate) fn take(&mut self, now: Moment) -> Option<Job> {
        if self.acquaintance != Acquaintance::Made || self.dispatch_at()? > now {
            return None;
        }
        let newest = &self.newest;
        let lines = &self.ledger.lines;
        let taken = self.queue.take(self.batch_max(), &|waiter: &Waiter| match waiter {
            Waiter::Number { place, expires_at: Some(expires_at) } => lines
                .get(&place.line)
                .and_then(|line| newest.get(line.publisher.as_ref()?))
                .is_some_and(|newest| newest > expires_at),
            Waiter::Number { .. } | Waiter::Flush(_) | Waiter::Again(_) | Waiter::Letter { .. } => {
                false
            }
        });
        let batch = taken.batch();
        for waiter in taken.expired {
            if let Waiter::Number { place, .. } = waiter {
                self.settle_finally(place, Outcome::Expired);
            }
        }
        if taken.entries.is_empty() {
            return None;
        }
        self.next_flight += 1;
        let id = self.next_flight;
        let begun = Begun { at: now, finals: self.finals_known(now) };
        self.flights.insert(id, Flight { entries: taken.entries, begun });
        Some(Job { id, batch })
    }

    /// When the next batch may go out; `None` while nothing waits or enough is under way.
    /// An idle lane sends at once; a busy one lets a batch grow.
    pub(super) fn dispatch_at(&self) -> Option<Moment> {
        let flights = self.flights.len();
        match self.acquaintance {
            Acquaintance::Due => {
                return (flights == 0 && self.may_ask()).then(|| self.retry.again_at());
            }
            Acquaintance::UnderWay => return None,
            Acquaintance::Made if self.pauses.all() => return None,
            Acquaintance::Made => {}
        }
        let since = self.queue.waiting_since()?;
        if self.retry.failing() {
            return (flights == 0).then(|| self.retry.again_at());
        }
        if flights >= FLIGHTS_MAX {
            return None;
        }
        let full = self.queue.len() >= self.batch_max() || self.queue.splitting();
        Some(if flights == 0 || full { since } else { since + self.purpose.config.batch.wait })
    }

    fn batch_max(&self) -> usize {
        let cache = self.abilities.as_ref().map_or(1, |known| known.batch_selectors_max);
        self.purpose.config.batch.selectors.min(usize::try_from(cache).unwrap_or(usize::MAX)).max(1)
    }

    /// A job has come back.
    pub(crate) fn done(&mut self, id: u64, result: Result<Fetches, Failure>, now: Moment) {
        let Some(Flight { entries, begun }) = self.flights.remove(&id) else { return };
        let failed = result.is_err();
        match result {
            Ok(fetches) => {
                self.retry.succeeded();
                self.last_error = None;
                for entry in entries {
                    self.purged(entry, Outcome::Purged, &begun, fetches, now);
                }
            }
            Err(Failure::Unavailable { after, error }) => {
                self.failed(after, error, now);
                self.queue.restore(entries);
            }
            Err(Failure::Refused { error, .. })
                if entries.iter().any(|entry| self.must_wait(entry)) =>
            {
                self.failed(None, error, now);
                self.queue.restore(entries);
            }
            Err(Failure::Refused { error, exchange }) if entries.len() == 1 => {
                self.retry.succeeded();
                let why = Why { reason: &error, exchange: exchange.as_deref() };
                for entry in entries {
                    self.give_up(entry, Outcome::Refused, why, now);
                }
                self.last_error = Some(error);
            }
            Err(Failure::Refused { error, .. }) => {
                self.last_error = Some(error);
                self.queue.split(entries);
            }
        }
        if failed {
            self.leave_what_waits();
        }
    }

    fn failed(&mut self, after: Option<Duration>, error: String, now: Moment) {
        self.retry.failed(now, after);
        self.last_error = Some(error);
        // A cache that was away for long may have come back as another one.
        if self.retry.circuit() == CircuitState::Open {
            self.acquaintance = Acquaintance::Due;
        }
    }

    fn purged(
        &mut self,
        entry: Entry,
        outcome: Outcome,
        begun: &Begun,
        fetches: Fetches,
        now: Moment,
    ) {
        for waiter in self.rebounds.purged(&entry.purge, begun.at) {
            self.finish_after_inner(&waiter, begun);
        }
        self.remember_purge(&entry.purge, begun.at);
        let letters = self.make_up_for_letters(&entry, begun);
        let Entry { purge, mut waiters, riders, .. } = entry;
        let mut coming = letters.len();
        waiters.retain(|waiter| {
            let awaits = self.has_first_pass(&purge, waiter, outcome, coming, now);
            coming += usize::from(awaits);
            awaits
        });
        waiters.extend(letters);
        if !waiters.is_empty() {
            self.await_rebounds(&purge, waiters, fetches, now);
        }
        for rider in riders {
            self.purged(rider, Outcome::Covered, begun, fetches, now);
        }
    }

    /// `purge` was carried out for `waiter`. Answers whether it awaits its later passes from now on, as so many others
    /// that are `coming`.
    fn has_first_pass(
        &mut self,
        purge: &Purge,
        waiter: &Waiter,
        outcome: Outcome,
        coming: usize,
        now: Moment,
    ) -> bool {
        match waiter {
            Waiter::Number { place, .. } => {
                let place = *place;
                self.settle(place, outcome);
                let held_up = self.inner.as_ref().is_some_and(|inner| !inner.settled(place));
                if (held_up || self.rebounds.any()) && self.defers(coming) {
                    self.ledger.defer(place, Need::Passes);
                    return false;
                }
                if held_up {
                    self.parked.hold(place, (purge.clone(), waiter.clone()), now);
                }
                !held_up
            }
            Waiter::Flush(id) => {
                self.flushed(*id);
                true
            }
            Waiter::Again(_) => {
                self.stretches.landed();
                false
            }
            // Its letter counts whoever waits.
            Waiter::Letter { .. } => false,
        }
    }

    /// The first pass of `purge` counts as settled `now`; the later ones follow.
    pub(super) fn await_rebounds(
        &mut self,
        purge: &Purge,
        waiters: Vec<Waiter>,
        fetches: Fetches,
        now: Moment,
    ) {
        for waiter in self.rebounds.settled(purge, waiters, fetches, now) {
            self.finish(&waiter);
        }
    }

    fn finish(&mut self, waiter: &Waiter) {
        match waiter {
            Waiter::Number { place, .. } => self.ledger.finish(*place),
            Waiter::Flush(id) => {
                for (line, numbers) in self.flush.finished(*id) {
                    self.ledger.flush_finished(line, numbers);
                }
            }
            Waiter::Again(_) => {}
            Waiter::Letter { id, tries } => self.finish_letter(*id, *tries),
        }
    }

    /// A last pass that began no later than a hop after the inner lane's is repeated: what that one had not removed
    /// yet may have been stored here once more.
    fn finish_after_inner(&mut self, waiter: &Waiter, begun: &Begun) {
        match (waiter, &begun.finals) {
            (Waiter::Number { place, .. }, Some(finals))
                if finals.get(&place.line).is_none_or(|floor| *floor < place.number) =>
            {
                self.ledger.defer(*place, Need::LastPass);
            }
            _ => self.finish(waiter),
        }
    }

    fn flushed(&mut self, id: u64) {
        let Some(heads) = self.flush.purged(id) else { return };
        let mut made_up_for = Vec::new();
        for (line_id, head) in heads {
            let Some(line) = self.ledger.lines.get_mut(&line_id) else { continue };
            for numbers in line.hearing.forgive(head) {
                self.ledger.flushed(line_id, numbers);
                self.settled.push(line_id, numbers);
                made_up_for.push((line_id, numbers));
            }
        }
        self.flush.made_up_for(id, made_up_for);
    }

    /// Nobody will purge this entry: its numbers end here, its riders try by themselves.
    fn give_up(&mut self, entry: Entry, outcome: Outcome, why: Why<'_>, now: Moment) {
        self.queue.restore(entry.riders);
        let (mut places, mut later, mut retried) = (Vec::new(), Vec::new(), false);
        for waiter in entry.waiters {
            match waiter {
                Waiter::Number { place, .. } => {
                    if outcome == Outcome::Refused {
                        places.push(place);
                    }
                    self.settle_finally(place, outcome);
                }
                Waiter::Flush(id) => {
                    self.flush.refused(id, now);
                    self.last_error = Some(format!("cannot flush: {}", why.reason));
                }
                Waiter::Again(place) => {
                    if outcome == Outcome::Refused {
                        later.push(place);
                    }
                    self.stretches.landed();
                }
                Waiter::Letter { .. } => retried = true,
            }
        }
        for waiter in self.rebounds.abandon(&entry.purge) {
            match &waiter {
                Waiter::Number { place, .. } => later.push(*place),
                Waiter::Letter { .. } => retried = true,
                Waiter::Flush(_) | Waiter::Again(_) => {}
            }
            self.finish(&waiter);
        }
        let only_later = places.is_empty() && !later.is_empty();
        places.append(&mut later);
        if retried || !places.is_empty() {
            let pass = if only_later { "at a later pass: " } else { "" };
            let reason = format!("{pass}{}", why.reason);
            self.refuse(&entry.purge, &places, Why { reason: &reason, ..why }, now);
        }
    }

    pub(super) fn settle_finally(&mut self, place: Place, outcome: Outcome) {
        self.settle(place, outcome);
        self.ledger.finish(place);
    }

    fn settle(&mut self, place: Place, outcome: Outcome) {
        if self.ledger.settle(place, outcome) {
            let number = NumberRange { first: place.number, last: place.number };
            self.settled.push(place.line, number);
        }
    }
}

#[cfg(test)]
mod tests;
