//! Lines come and go: one that is closed, finally settled and past what any log keeps is forgotten.

use std::time::Duration;

use jiff::Timestamp;
use schemas::{ClosedLine, LineId};

use super::Machine;
use crate::Moment;

/// A line is forgotten so long after the broker's retention is over.
const LONGER: Duration = Duration::from_hours(24);
/// A line that was named so lately is not forgotten: it would begin anew with the next heartbeat.
const NAMED: Duration = Duration::from_mins(1);

impl Machine {
    /// The lines that are known here.
    pub(crate) fn line_ids(&self) -> impl Iterator<Item = LineId> + '_ {
        self.ledger.lines.keys().copied()
    }

    /// These lines are `closed`, and it is `time`: forgets those on which nothing will be asked again, and answers
    /// which.
    pub(crate) fn close_lines(
        &mut self,
        closed: &[ClosedLine],
        time: Timestamp,
        now: Moment,
    ) -> Vec<LineId> {
        self.ledger.close(closed);
        let listening = self.start.begun().filter(|_| self.start.done());
        if listening.is_none_or(|begun| now.saturating_sub(begun) < NAMED) {
            return Vec::new();
        }
        let kept = self.purpose.retention.saturating_add(LONGER);
        self.ledger.forget(|line, closed| {
            let past = closed.since.checked_add(kept).is_ok_and(|end| end <= time);
            past && now.saturating_sub(line.heard) >= NAMED
        })
    }
}
