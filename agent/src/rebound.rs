//! Later passes: every selector is purged again after each delay, so that no late refill survives. What was purged
//! behind fences needs one only: nothing that was on its way then comes late.

mod passes;

use std::time::Duration;

use schemas::SelectorKind;

use crate::Moment;
use crate::batch::Waiter;
use crate::driver::{Fetches, Purge};

use passes::Passes;

/// Delay of the one later pass of what was purged behind fences, where nobody has said another: insurance.
pub(crate) const FENCED_REBOUND: Duration = Duration::from_secs(2);

/// The selectors that wait for a later pass: a set bounded by the lane, which remembers stretches of the log beyond it.
#[derive(Debug)]
pub(crate) struct Rebounds {
    every: Passes,
    /// For what was purged behind fences; `None` where that has every pass too.
    fenced: Option<Passes>,
}

impl Rebounds {
    /// Passes after these delays; none means that the first pass is final. What was `fenced` has one after that time.
    pub(crate) fn new(delays: Vec<Duration>, fenced: Option<Duration>) -> Self {
        let fenced = fenced.filter(|_| !delays.is_empty()).map(|delay| Passes::new(vec![delay]));
        Self { every: Passes::new(delays), fenced }
    }

    fn all(&self) -> impl Iterator<Item = &Passes> {
        std::iter::once(&self.every).chain(&self.fenced)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Passes> {
        std::iter::once(&mut self.every).chain(&mut self.fenced)
    }

    /// The first pass of `purge` settled `at` for these waiters, and this became of the `fetches` under way. Answers
    /// those that need no later pass.
    pub(crate) fn settled(
        &mut self,
        purge: &Purge,
        waiters: Vec<Waiter>,
        fetches: Fetches,
        at: Moment,
    ) -> Vec<Waiter> {
        let passes = match (fetches, &mut self.fenced) {
            (Fetches::Fenced, Some(fenced)) => fenced,
            _ => &mut self.every,
        };
        passes.settled(purge, waiters, at)
    }

    /// A purge of `purge` that began at `started` has succeeded. Answers who has had the last pass by that.
    pub(crate) fn purged(&mut self, purge: &Purge, started: Moment) -> Vec<Waiter> {
        self.all_mut().flat_map(|passes| passes.purged(purge, started)).collect()
    }

    /// Nobody will purge `purge` again: answers who waited for it.
    pub(crate) fn abandon(&mut self, purge: &Purge) -> Vec<Waiter> {
        self.all_mut().flat_map(|passes| passes.abandon(purge)).collect()
    }

    /// Takes up to `max` selectors whose pass is due; each stays taken until it was purged or abandoned.
    pub(crate) fn take_due(&mut self, now: Moment, max: usize) -> Vec<Purge> {
        let mut taken = Vec::new();
        for passes in self.all_mut() {
            taken.extend(passes.take_due(now, max - taken.len()));
        }
        taken
    }

    /// When the next pass is due.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.all().filter_map(Passes::next_due).min()
    }

    /// Whether there are later passes at all.
    pub(crate) fn any(&self) -> bool {
        self.every.any()
    }

    /// Whether only the last pass of `purge` is run.
    pub(crate) fn only_last(purge: &Purge) -> bool {
        matches!(purge.selector.kind(), SelectorKind::Prefix | SelectorKind::Everything)
    }

    /// How many distinct selectors wait; one that waits for both is two.
    pub(crate) fn len(&self) -> usize {
        self.all().map(Passes::len).sum()
    }

    /// How many wait for them: no fewer than there are selectors.
    pub(crate) fn waiters(&self) -> usize {
        self.all().map(Passes::waiters).sum()
    }
}

#[cfg(test)]
mod tests;
