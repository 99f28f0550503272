//! Which selectors were purged lately, and when: what was purged since a pass became due needs no purge of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::Moment;
use crate::driver::Purge;

/// So many are remembered: enough for every selector that is purged again all the time.
const SLOTS: usize = 8_192;

/// The latest purge of some selectors; each has one place, which it may lose to another.
///
/// A selector is known by a keyed hash of 64 bits. Where two share one, which nobody can bring about, a later pass is
/// left out once.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    hasher: RandomState,
    slots: Vec<Option<(u64, Moment)>>,
}

impl Recent {
    /// A purge that began at `started` has succeeded.
    pub(crate) fn purged(&mut self, purge: &Purge, started: Moment) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let hash = self.hasher.hash_one(purge);
        if let Some(slot) = self.slots.get_mut(at(hash)) {
            let before = slot.filter(|(known, _)| *known == hash).map(|(_, before)| before);
            *slot = Some((hash, started.max(before.unwrap_or_default())));
        }
    }

    /// Whether a purge of it is known that began at `since` or later.
    pub(crate) fn has(&self, purge: &Purge, since: Moment) -> bool {
        let hash = self.hasher.hash_one(purge);
        let slot = self.slots.get(at(hash)).copied().flatten();
        slot.is_some_and(|(known, started)| known == hash && started >= since)
    }

    /// Nobody will ask for a while.
    pub(crate) fn forget(&mut self) {
        self.slots = Vec::new();
    }
}

fn at(hash: u64) -> usize {
    usize::try_from(hash % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use schemas::{Mode, Selector};

    use super::*;

    fn purge(tag: usize) -> Purge {
        let selector = Selector::Tag(format!("t{tag}").parse().expect("a tag"));
        Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
    }

    #[test]
    fn a_purge_counts_from_when_it_began_and_for_its_own_selector_only() {
        let second = Moment::from_secs;
        let mut recent = Recent::default();
        assert!(!recent.has(&purge(1), Moment::ZERO));
        recent.purged(&purge(1), second(5));
        recent.purged(&purge(1), second(4));
        assert!(recent.has(&purge(1), second(5)) && !recent.has(&purge(1), second(6)));
        assert!((2..9).all(|other| !recent.has(&purge(other), Moment::ZERO)));
        recent.forget();
        assert!(!recent.has(&purge(1), Moment::ZERO));
    }
}
