//! One pass of a stretch: reads it again, and waits for what it has purged.

use std::collections::BTreeMap;

use broker_adapter::{Partition, Position, Positions};
use schemas::Place;

use super::{Numbers, Stretch};
use crate::Moment;

/// The pass under way.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) stretch: Stretch,
    /// So many delays the stretch will have had.
    pub(super) completes: usize,
    /// A purge that began then or later is this pass of its selector.
    pub(super) counts_from: Moment,
    /// What was not read again yet.
    pub(super) unmet: Numbers,
    /// Purges that have not come back.
    pub(super) outstanding: usize,
    /// Per partition that is not read to its end yet: the first and the last position.
    ends: BTreeMap<Partition, (Position, Position)>,
}

impl Pass {
    /// A pass of `stretch` that completes so many delays; purges count for it from a moment on.
    pub(super) fn new(stretch: Stretch, completes: usize, counts_from: Moment) -> Self {
        let spans = stretch.spans.iter();
        let ends = spans.map(|(partition, span)| (*partition, (span.first, span.last))).collect();
        let unmet = stretch.members.clone();
        Self { unmet, stretch, completes, counts_from, outstanding: 0, ends }
    }

    /// Where it reads from.
    pub(super) fn begins_at(&self) -> Positions {
        self.ends.iter().map(|(partition, (first, _))| (*partition, *first)).collect()
    }

    /// Whether it wants more of the log.
    pub(super) fn reads(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Whether all is read and purged.
    pub(super) fn over(&self) -> bool {
        self.ends.is_empty() && self.outstanding == 0
    }

    /// `place` was read again. Answers whether it belongs to it, and was not met before.
    pub(super) fn meet(&mut self, place: Place) -> bool {
        let Some(unmet) = self.unmet.get_mut(&place.line) else { return false };
        let wanted = unmet.contains(&place.number);
        if wanted {
            unmet.remove(place.number..=place.number);
            if unmet.is_empty() {
                self.unmet.remove(&place.line);
            }
        }
        wanted
    }

    /// A message was read. One from below the beginning shows that the log is another one: nothing more is met there.
    pub(super) fn read(&mut self, partition: Partition, position: Position) {
        let ends = self.ends.get(&partition);
        if ends.is_some_and(|(first, last)| position < *first || position >= *last) {
            self.ends.remove(&partition);
        }
    }
}
