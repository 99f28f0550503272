//! What of a number has not begun: that may still be called off.

use schemas::{Outcome, Place};

use super::Ledger;

impl Ledger {
    /// How many selectors of `place` have not had their first pass, where none has.
    pub(crate) fn unbegun(&self, place: Place) -> Option<u32> {
        let account = self.lines.get(&place.line)?.accounts.get(place.number)?;
        let purged = matches!(
            account.worst,
            Outcome::Purged | Outcome::Covered | Outcome::Flushed | Outcome::Expired
        );
        (!purged).then_some(account.unsettled)
    }

    /// Whether `place` is settled, or none of our business.
    pub(crate) fn has_settled(&self, place: Place) -> bool {
        let line = self.lines.get(&place.line);
        line.is_some_and(|line| line.applied.has(place.number))
    }
}
