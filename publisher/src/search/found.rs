//! What searches have found, remembered for whoever asks again.

use std::collections::VecDeque;
use std::sync::Arc;

use schemas::{Invalidation, Place};
use uuid::Uuid;

/// Most invalidations remembered, and most selectors in all of them together.
const FOUND_MAX: usize = 1_024;
const SELECTORS_MAX: usize = 32_768;

/// An invalidation of another journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its place for ever.
    pub(crate) place: Place,
    /// As it was published.
    pub(crate) invalidation: Arc<Invalidation>,
}

/// The latest that were found, the latest last.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    latest: VecDeque<(Uuid, Found)>,
    selectors: usize,
}

impl Remembered {
    pub(super) fn get(&self, id: Uuid) -> Option<Found> {
        let known = self.latest.iter().find(|(known, _)| *known == id);
        known.map(|(_, found)| found.clone())
    }

    pub(super) fn keep(&mut self, id: Uuid, found: Found) {
        if self.get(id).is_some() {
            return;
        }
        self.selectors += found.invalidation.selectors.len();
        self.latest.push_back((id, found));
        while self.latest.len() > FOUND_MAX || self.selectors > SELECTORS_MAX {
            let Some((_, oldest)) = self.latest.pop_front() else { return };
            self.selectors -= oldest.invalidation.selectors.len();
        }
    }
}
