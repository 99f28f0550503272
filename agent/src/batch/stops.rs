//! What humans stop: entries of a paused site step aside, cancelled numbers leave.

use std::collections::{BTreeSet, HashMap, HashSet};

use schemas::{Place, SiteName};

use super::{Entry, Queue, Waiter};
use crate::driver::Purge;

impl Queue {
    /// What is of these sites waits, at its turn, and nothing else does.
    pub(crate) fn set_aside(&mut self, sites: BTreeSet<SiteName>) {
        if self.paused == sites {
            return;
        }
        self.paused = sites;
        let here = self.waiting.values().filter(|entry| self.is_paused(entry));
        let there = self.aside.values().filter(|entry| !self.is_paused(entry));
        let moved: Vec<Purge> = here.chain(there).map(|entry| entry.purge.clone()).collect();
        for purge in moved {
            if let Some(entry) = self.remove(&purge) {
                self.insert(entry);
            }
        }
        for half in std::mem::take(&mut self.halves) {
            let half = self.keep_back(half);
            self.halves.extend((!half.is_empty()).then_some(half));
        }
    }

    fn is_paused(&self, entry: &Entry) -> bool {
        self.paused.contains(&entry.purge.site)
    }

    /// Of a batch that does not go out as it is, what is paused waits again; answers the rest.
    pub(super) fn keep_back(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let (paused, rest) = entries.into_iter().partition(|entry| self.is_paused(entry));
        self.restore(paused);
        rest
    }

    /// For how many selectors each of these places waits, as far as they are not under way.
    pub(crate) fn waiting_for(&self, places: &HashSet<Place>) -> HashMap<Place, u32> {
        let mut counts = HashMap::new();
        if places.is_empty() {
            return counts;
        }
        let all = self.waiting.values().chain(self.aside.values());
        for waiter in all.flat_map(|entry| &entry.waiters) {
            if let Waiter::Number { place, .. } = waiter
                && places.contains(place)
            {
                *counts.entry(*place).or_default() += 1;
            }
        }
        counts
    }

    /// Nobody waits for these any more; what others wait for stays.
    pub(crate) fn withdraw(&mut self, places: &HashSet<Place>) {
        let is_withdrawn = |waiter: &Waiter| matches!(waiter, Waiter::Number { place, .. } if places.contains(place));
        let all = self.waiting.values().chain(self.aside.values());
        let concerned = all.filter(|entry| entry.waiters.iter().any(is_withdrawn));
        let concerned: Vec<Purge> = concerned.map(|entry| entry.purge.clone()).collect();
        for purge in concerned {
            let Some(mut entry) = self.remove(&purge) else { continue };
            entry.waiters.retain(|waiter| !is_withdrawn(waiter));
            if !entry.waiters.is_empty() || entry.rebound {
                self.insert(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests;
