//! The dead letters of a lane: what its healthy cache refused, until it was purged after all or a human drops it.
//!
//! ```text
//! refused --an order--> retrying --the cache takes it--> purged --its later passes--> gone
//!    ^                      |                              |
//!    +----------------------+------ refused once more -----+
//! ```

mod explained;
mod letter;
mod retries;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use schemas::{
    ChosenLetters, DeadLetter, DeadLetters, KeptLetter, LetterState, LineId, Mode, Number,
    NumberRange, Outcome, Place,
};
use uuid::Uuid;

use crate::Moment;
use crate::batch::{coverers, is_broad};
use crate::driver::Purge;
use crate::stretch::Numbers;

pub(crate) use explained::{Explained, explained};
use letter::Letter;
pub(crate) use letter::{Refusal, Why};
use retries::Retries;
pub(crate) use told::shorten;

/// At so many dead letters the lane stops: something is wrong that no purging repairs.
pub(crate) const LETTERS_MAX: usize = 10_000;
/// It stops, too, where one letter stands for so many ranges of numbers: each lies in memory and in its file.
const RANGES_MAX: usize = 10_000;
/// And where all letters together stand for so many numbers: the cursor names each of them.
const NUMBERS_MAX: u64 = 250_000;
/// So many are told; of others only the count.
const TOLD_MAX: usize = 100;

/// All dead letters of one lane.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    all: BTreeMap<Uuid, Letter>,
    ids: HashMap<Purge, Uuid>,
    by_age: BTreeSet<(Timestamp, Uuid)>,
    /// Those that may stand for no more numbers.
    full: BTreeSet<Uuid>,
    /// How many numbers they stand for, each for itself.
    numbers: u64,
    changes: Changes,
    retries: Retries,
}

/// What is not stored yet.
#[derive(Debug, Default)]
struct Changes {
    written: BTreeSet<Uuid>,
    gone: BTreeSet<Uuid>,
}

/// What has to be stored together with a cursor: the first before it, the second after it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LetterChanges {
    /// Letters that are new, or not as they are stored.
    pub(crate) written: Vec<KeptLetter>,
    /// Letters that are no more.
    pub(crate) gone: Vec<Uuid>,
}

/// A letter that is no more: its numbers end so.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) id: Uuid,
    pub(crate) purge: Purge,
    pub(crate) outcome: Outcome,
    pub(crate) numbers: Numbers,
}

impl Letters {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing more may be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= LETTERS_MAX || self.numbers >= NUMBERS_MAX || !self.full.is_empty()
    }

    /// Whether `purge` may be refused for more numbers.
    pub(crate) fn has_room_for(&self, purge: &Purge) -> bool {
        let known = match self.of(purge) {
            Some(id) => !self.full.contains(&id),
            None => self.all.len() < LETTERS_MAX,
        };
        known && self.numbers < NUMBERS_MAX
    }

    /// What there is too much of, in words, if nothing more may be refused.
    pub(crate) fn too_much(&self) -> Option<String> {
        let full = self.full.first().and_then(|id| Some((id, self.all.get(id)?)));
        match full {
            Some((id, letter)) => {
                let Purge { site, selector, .. } = &letter.purge;
                Some(format!(
                    "dead letter {id}, {selector} of site {site}, stands for {} invalidations in {RANGES_MAX} pieces",
                    letter.count()
                ))
            }
            None if self.is_full() => {
                let (letters, numbers) = (self.all.len(), self.numbers);
                Some(format!("{letters} dead letters for {numbers} invalidations"))
            }
            None => None,
        }
    }

    /// The letter of that purge.
    pub(crate) fn of(&self, purge: &Purge) -> Option<Uuid> {
        self.ids.get(purge).copied()
    }

    /// The cache refused `purge` for these places; `id` names it where it is new. Answers the places that it did not
    /// stand for yet.
    pub(crate) fn refuse(
        &mut self,
        purge: &Purge,
        places: &[Place],
        refusal: Refusal<'_>,
        id: Uuid,
    ) -> Vec<Place> {
        let id = match (self.of(purge), places.last()) {
            (Some(known), _) => known,
            (None, Some(latest)) => {
                self.insert(id, Letter::new(purge.clone(), *latest, refusal));
                id
            }
            (None, None) => return Vec::new(),
        };
        let Some(letter) = self.all.get_mut(&id) else { return Vec::new() };
        let new = letter.refuse(places, refusal);
        if letter.is_full() {
            self.full.insert(id);
        }
        self.numbers += new.len() as u64;
        self.changes.written.insert(id);
        self.retries.came_back(id);
        new
    }

    fn insert(&mut self, id: Uuid, letter: Letter) {
        self.ids.insert(letter.purge.clone(), id);
        self.by_age.insert((letter.first_seen, id));
        if letter.is_full() {
            self.full.insert(id);
        }
        self.numbers += letter.count();
        self.all.insert(id, letter);
    }

    /// Takes back what was kept, of which only the numbers count that fulfil `refused`; one without any is no more.
    /// Answers the places that it stands for.
    pub(crate) fn adopt(
        &mut self,
        kept: KeptLetter,
        refused: impl Fn(LineId, NumberRange) -> Vec<Number>,
    ) -> Vec<Place> {
        let KeptLetter { letter, numbers } = kept;
        let DeadLetter { id, site, selector, mode, .. } = letter;
        let purge = Purge::new(site, selector, mode);
        let mut places = BTreeSet::new();
        for (line, range) in numbers {
            let of_line = refused(line, range).into_iter();
            places.extend(of_line.map(|number| Place { line, number }));
        }
        if places.is_empty() || self.all.contains_key(&id) || self.ids.contains_key(&purge) {
            self.changes.gone.insert(id);
            return Vec::new();
        }
        let mut adopted = Letter {
            purge,
            reason: letter.reason,
            exchange: letter.exchange.map(Box::new),
            first_seen: letter.first_seen,
            last_tried: letter.last_tried,
            tries: letter.tries,
            state: LetterState::Refused,
            outcome: Outcome::Purged,
            latest: letter.place,
            numbers: Numbers::new(),
            refused_at: Moment::ZERO,
        };
        for place in &places {
            adopted.add(*place);
        }
        self.insert(id, adopted);
        places.into_iter().collect()
    }

    /// Those of `others`, a former life's, that are not gone are to be adopted; what that one had not stored is not
    /// stored yet.
    pub(crate) fn succeed(&mut self, others: Self) -> Vec<KeptLetter> {
        self.changes = others.changes;
        let ids = others.all.iter();
        ids.map(|(id, letter)| letter.kept(*id)).collect()
    }

    /// Every letter as it is to be kept.
    pub(crate) fn kept(&self) -> Vec<KeptLetter> {
        self.all.iter().map(|(id, letter)| letter.kept(*id)).collect()
    }

    /// The letters that are meant, of those that were there at `before`, if that is given.
    pub(crate) fn chosen(&self, chosen: &ChosenLetters, before: Option<Timestamp>) -> Vec<Uuid> {
        let there = |letter: &Letter| before.is_none_or(|before| letter.first_seen <= before);
        let all = self.all.iter().filter(|(_, letter)| there(letter));
        all.filter(|(id, letter)| chosen.names(&letter.told(**id))).map(|(id, _)| *id).collect()
    }

    /// This letter is to be purged again: answers its purge, unless that is under way.
    pub(crate) fn retry(&mut self, id: Uuid) -> Option<(Purge, u32)> {
        let letter = self.all.get_mut(&id)?;
        if letter.state != LetterState::Refused {
            return None;
        }
        letter.state = LetterState::Retrying;
        Some((letter.purge.clone(), letter.tries))
    }

    /// `purge`, which began at `begun`, has succeeded: answers the letters that it made up for, with their tries. They
    /// are gone after their later passes.
    pub(crate) fn purged(&mut self, purge: &Purge, flush: bool, begun: Moment) -> Vec<(Uuid, u32)> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let mut made_up_for = Vec::new();
        for id in self.included(purge) {
            let Some(letter) = self.all.get_mut(&id) else { continue };
            if letter.state == LetterState::Purged || letter.refused_at > begun {
                continue;
            }
            letter.state = LetterState::Purged;
            letter.outcome = if flush {
                Outcome::Flushed
            } else if letter.purge == *purge {
                Outcome::Purged
            } else {
                Outcome::Covered
            };
            made_up_for.push((id, letter.tries));
        }
        made_up_for
    }

    /// The letters that a purge includes: its own, and where it is wider or harder those of others.
    fn included(&self, purge: &Purge) -> Vec<Uuid> {
        if is_broad(purge) {
            let of = |letter: &Letter| {
                letter.purge == *purge || coverers(&letter.purge).any(|wider| wider == *purge)
            };
            return self.all.iter().filter(|(_, letter)| of(letter)).map(|(id, _)| *id).collect();
        }
        let softer = Purge { mode: Mode::Soft, ..purge.clone() };
        [purge, &softer].into_iter().filter_map(|purge| self.of(purge)).collect()
    }

    /// The later passes of a letter are over, or nobody wants them: it is gone, unless it was refused since.
    pub(crate) fn finish(&mut self, id: Uuid, tries: u32) -> Option<Ended> {
        let letter = self.all.get(&id)?;
        let over = letter.state == LetterState::Purged && letter.tries == tries;
        if over { self.end(id, letter.outcome) } else { None }
    }

    /// A human gives it up.
    pub(crate) fn drop(&mut self, id: Uuid) -> Option<Ended> {
        self.end(id, Outcome::Cancelled)
    }

    fn end(&mut self, id: Uuid, outcome: Outcome) -> Option<Ended> {
        let letter = self.all.remove(&id)?;
        self.numbers -= letter.count();
        self.full.remove(&id);
        let Letter { purge, numbers, first_seen, .. } = letter;
        self.ids.remove(&purge);
        self.by_age.remove(&(first_seen, id));
        self.changes.written.remove(&id);
        self.changes.gone.insert(id);
        self.retries.came_back(id);
        Some(Ended { id, purge, outcome, numbers })
    }

    /// An order to retry these letters is carried out once all of them have come back.
    pub(crate) fn retry_for(&mut self, order: (Uuid, Timestamp), letters: Vec<Uuid>) {
        self.retries.begin(order, letters);
    }

    /// Whether an order to retry is being carried out.
    pub(crate) fn has_order(&self, order: Uuid) -> bool {
        self.retries.has(order)
    }

    /// The orders to retry that were carried out since this was last asked, and when they expire.
    pub(crate) fn drain_obeyed(&mut self) -> Vec<(Uuid, Timestamp)> {
        self.retries.drain_obeyed()
    }

    /// For the report.
    pub(crate) fn tell(&self) -> DeadLetters {
        let newest = self.by_age.iter().rev().take(TOLD_MAX);
        let newest = newest.filter_map(|(_, id)| Some(self.all.get(id)?.told(*id)));
        DeadLetters { count: self.all.len() as u64, newest: newest.collect() }
    }

    /// Whether something is not stored.
    pub(crate) fn unstored(&self) -> bool {
        !self.changes.written.is_empty() || !self.changes.gone.is_empty()
    }

    /// What is not stored; counts as stored from now on.
    pub(crate) fn take_changes(&mut self) -> LetterChanges {
        let Changes { written, gone } = std::mem::take(&mut self.changes);
        let written = written.iter().filter_map(|id| Some(self.all.get(id)?.kept(*id)));
        LetterChanges { written: written.collect(), gone: gone.into_iter().collect() }
    }

    /// These changes were not stored.
    pub(crate) fn put_back(&mut self, changes: LetterChanges) {
        let LetterChanges { written, gone } = changes;
        let written = written.into_iter().map(|kept| kept.letter.id);
        self.changes.written.extend(written.filter(|id| self.all.contains_key(id)));
        self.changes.gone.extend(gone.into_iter().filter(|id| !self.all.contains_key(id)));
    }
}

#[cfg(test)]
mod tests;
