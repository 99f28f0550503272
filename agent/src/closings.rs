//! Which lines are closed, as publishers say on their board. While that says nothing, nothing is closed.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use schemas::{BoardMessage, ClosedLine, LineId, Retired, Retirement};

/// Most closed lines remembered; the oldest closings make room.
const CLOSINGS_MAX: usize = 20_000;

/// The closed lines known of; shared by all lanes of an agent.
#[derive(Debug, Default)]
pub(crate) struct Closings(Mutex<BTreeMap<LineId, ClosedLine>>);

impl Closings {
    /// What is known of these lines.
    pub(crate) fn of(&self, lines: impl Iterator<Item = LineId>) -> Vec<ClosedLine> {
        let closings = self.0.lock();
        lines.filter_map(|line| closings.get(&line).copied()).collect()
    }

    /// What a publisher says.
    pub(crate) fn learn(&self, message: BoardMessage) {
        let (since, closed) = match message {
            BoardMessage::Incarnation(incarnation) => (incarnation.since, incarnation.closes),
            BoardMessage::Retirement(Retirement {
                retired: Retired::Publisher { lines, .. },
                at,
                ..
            }) => (at, lines),
            BoardMessage::Retirement(_) | BoardMessage::Orders(_) | BoardMessage::Report(_) => {
                return;
            }
        };
        let mut closings = self.0.lock();
        for (line, last) in closed {
            let new = ClosedLine { line, last, since };
            // The first to say so says since when, unless the line has gone on meanwhile.
            let known = closings.entry(line).or_insert(new);
            if last > known.last {
                *known = new;
            }
        }
        while closings.len() > CLOSINGS_MAX {
            let oldest = closings.values().min_by_key(|closed| closed.since);
            let Some(line) = oldest.map(|closed| closed.line) else { return };
            closings.remove(&line);
        }
    }
}
