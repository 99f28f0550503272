//! What a lane remembers over its lives: its cursor and its dead letters, stored together.

use schemas::{Cursor, KeptLetter, Outcome};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Lane, STORE_EVERY, STORE_HINT_EVERY};
use crate::errand::Keeping;
use crate::error_chain;
use crate::letters::{Explained, LetterChanges, explained};
use crate::shelf::ShelfError;

/// The cursor that a lane goes on from, where these letters are all that it finds.
pub(super) fn gone_on_from(
    lane: &str,
    cursor: Option<Cursor>,
    letters: &[KeptLetter],
) -> Option<Cursor> {
    let cursor = cursor?;
    match explained(&cursor, letters) {
        Explained::Whole => Some(cursor),
        Explained::Less(cursor, numbers) => {
            warn!(lane, numbers, "dead letters are missing: their numbers are done again");
            Some(*cursor)
        }
        Explained::Nothing(numbers) => {
            warn!(
                lane,
                numbers, "too many dead letters are missing: the lane begins without a cursor"
            );
            None
        }
    }
}

impl Lane {
    /// Where everything is stored.
    pub(super) fn keeping(&self) -> Keeping {
        Keeping { shelf: self.shelf.clone(), inward: self.inward(), folder: self.folder.clone() }
    }

    /// The cursor, if it has changed and it is time to store it.
    pub(super) fn cursor_to_store(&self) -> Option<Cursor> {
        if self.storing || !self.machine.has_cursor() || !self.in_session() {
            return None;
        }
        let tried = self.stored.as_ref().map(|(_, at)| *at).max(self.not_stored);
        if tried.is_some_and(|at| at.elapsed() < STORE_EVERY) {
            return None;
        }
        let cursor = self.machine.cursor();
        let due = self.stored.as_ref().is_none_or(|(stored, at)| {
            let hints_only = Cursor { hints: stored.hints.clone(), ..cursor.clone() } == *stored;
            !hints_only
                || self.machine.letters_unstored()
                || at.elapsed() >= STORE_HINT_EVERY && cursor != *stored
        });
        due.then_some(cursor)
    }

    /// What was to be stored came back.
    pub(super) fn was_stored(
        &mut self,
        cursor: Cursor,
        changes: LetterChanges,
        result: Result<(), ShelfError>,
    ) {
        self.storing = false;
        match result {
            Ok(()) => {
                self.unshown |= self.machine.stored(&cursor);
                self.stored = Some((cursor, Instant::now()));
            }
            Err(error) => {
                warn!(lane = self.name, error = error_chain(&error), "cursor not stored");
                self.machine.not_stored(changes);
                self.not_stored = Some(Instant::now());
            }
        }
    }

    /// Says which dead letters are no more.
    pub(super) fn tell_ended_letters(&mut self) {
        for ended in self.machine.drain_ended_letters() {
            let (lane, id, selector) = (&self.name, ended.id, &ended.purge.selector);
            match ended.outcome {
                Outcome::Cancelled => warn!(lane, %id, %selector, "dead letter dropped"),
                outcome => info!(lane, %id, %selector, %outcome, "dead letter settled"),
            }
            self.unshown = true;
        }
    }
}
