//! What a lane does with its dead letters: keeps them, purges them again, drops them.

use jiff::Timestamp;
use schemas::{Ability, ChosenLetters, Cursor, KeptLetter, Place};
use uuid::Uuid;

use super::{Begun, Machine};
use crate::Moment;
use crate::batch::{Entry, Waiter};
use crate::driver::Purge;
use crate::letters::{Ended, LetterChanges, Refusal, Why};
use crate::standing_orders::{Bidden, Bidding};

impl Machine {
    /// What the wall clock shows.
    pub(crate) fn time_is(&mut self, time: Timestamp) {
        self.time = time;
    }

    /// Takes back the letters of an earlier life: those for whose numbers the cursor does not stand are no more.
    pub(crate) fn adopt(&mut self, kept: Vec<KeptLetter>) {
        for letter in kept {
            let ledger = &self.ledger;
            let places = self.letters.adopt(letter, |line, range| ledger.refused(line, range));
            for place in places {
                self.ledger.refuse(place);
            }
        }
    }

    /// Every letter, as it is to be kept.
    pub(crate) fn kept_letters(&self) -> Vec<KeptLetter> {
        self.letters.kept()
    }

    /// The cache refused `purge`, which these places asked for.
    pub(super) fn refuse(&mut self, purge: &Purge, places: &[Place], why: Why<'_>, now: Moment) {
        let id = uuid::Builder::from_random_bytes(self.jitter.u128(..).to_be_bytes()).into_uuid();
        let refusal = Refusal { why, time: self.time, now };
        for place in self.letters.refuse(purge, places, refusal, id) {
            self.ledger.refuse(place);
        }
    }

    /// Whether this entry, refused, would be one dead letter too many, or would make one too long: then its turn comes
    /// again.
    pub(super) fn must_wait(&self, entry: &Entry) -> bool {
        let known = self.letters.of(&entry.purge).is_some();
        let adds = |waiter: &Waiter| match waiter {
            Waiter::Number { .. } | Waiter::Again(_) => true,
            Waiter::Letter { .. } => !known,
            Waiter::Flush(_) => false,
        };
        let adds = entry.waiters.is_empty() || entry.waiters.iter().any(adds);
        adds && !self.letters.has_room_for(&entry.purge)
    }

    /// Why nothing more is read, if there are too many dead letters.
    pub(crate) fn too_many_letters(&self) -> Option<String> {
        let what = self.letters.too_much()?;
        Some(format!(
            "{what}: this lane stops until some are retried or dropped with `purgebus dead-letters`"
        ))
    }

    /// The letters that a purge has made up for wait for their later passes.
    pub(super) fn make_up_for_letters(&mut self, entry: &Entry, begun: &Begun) -> Vec<Waiter> {
        let flush = entry.waiters.iter().any(|waiter| matches!(waiter, Waiter::Flush(_)));
        let letters = self.letters.purged(&entry.purge, flush, begun.at).into_iter();
        letters.map(|(id, tries)| Waiter::Letter { id, tries }).collect()
    }

    /// The later passes of a letter are over.
    pub(super) fn finish_letter(&mut self, id: Uuid, tries: u32) {
        if let Some(ended) = self.letters.finish(id, tries) {
            self.end_letter(ended);
        }
    }

    fn end_letter(&mut self, ended: Ended) {
        self.ledger.make_up_for(&ended.numbers, ended.outcome);
        self.letters_ended.push(ended);
    }

    /// The letters that are no more since this was last asked.
    pub(crate) fn drain_ended_letters(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.letters_ended)
    }

    /// Carries out an order about letters, or begins to.
    pub(super) fn decide(&mut self, order: &Bidding, now: Moment) {
        match &order.what {
            Bidden::Retry { letters } if self.abilities.is_some() => {
                let chosen = self.letters.chosen(letters, None);
                self.letters.retry_for((order.id, order.expires_at), chosen.clone());
                for id in chosen {
                    self.retry_letter(id, now);
                }
            }
            Bidden::Drop { letters, before, .. } => {
                self.drop_letters(letters, *before);
                self.obeyed.insert(order.id, order.expires_at);
            }
            _ => {}
        }
    }

    fn retry_letter(&mut self, id: Uuid, now: Moment) {
        let Some((purge, tries)) = self.letters.retry(id) else { return };
        let refusal = match self.ability(&purge.selector) {
            Ability::Supported => self.belongs(&purge.site, &purge.selector).err(),
            Ability::Unsupported | Ability::NotHeld => Some("the cache cannot do this".to_owned()),
        };
        match refusal {
            Some(reason) => self.refuse(&purge, &[], Why::of(&reason), now),
            None => self.queue.add(purge, Waiter::Letter { id, tries }, now),
        }
    }

    /// One that a filter chose and the human has not seen yet is not dropped.
    fn drop_letters(&mut self, letters: &ChosenLetters, before: Timestamp) {
        for id in self.letters.chosen(letters, letters.ids.is_empty().then_some(before)) {
            if let Some(ended) = self.letters.drop(id) {
                self.end_letter(ended);
            }
        }
    }

    /// Whether letters are not as they are stored.
    pub(crate) fn letters_unstored(&self) -> bool {
        self.letters.unstored()
    }

    /// What has to be stored together with [`Machine::cursor`].
    pub(crate) fn take_letter_changes(&mut self) -> LetterChanges {
        self.letters.take_changes()
    }

    /// That was stored. Answers whether a crash forgets other orders now.
    pub(crate) fn stored(&mut self, cursor: &Cursor) -> bool {
        let remembered = cursor.obeyed.iter().map(|(id, _)| *id).collect();
        let before = std::mem::replace(&mut self.remembered, remembered);
        before != self.remembered
    }

    /// That was not stored.
    pub(crate) fn not_stored(&mut self, changes: LetterChanges) {
        self.letters.put_back(changes);
    }
}

#[cfg(test)]
mod tests;
