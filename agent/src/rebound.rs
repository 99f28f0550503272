//! Later passes: every selector is purged again after each delay, so that no late refill survives.
//!
//! A purge of a selector that starts at T is the pass `delay` of everything that settled until T - delay,
//! so a hot selector costs at most one extra purge per delay, however many numbers wait for it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use schemas::SelectorKind;

use crate::Moment;
use crate::batch::Waiter;
use crate::driver::Purge;

/// The selectors that wait for a later pass: a set bounded by the lane, which stops reading at the bound.
#[derive(Debug)]
pub(crate) struct Rebounds {
    delays: Vec<Duration>,
    waiting: HashMap<Purge, Waiting>,
    due: BTreeSet<(Moment, u64)>,
    purges: HashMap<u64, Purge>,
    next_id: u64,
}

/// One selector's first passes that still need a later one.
#[derive(Debug)]
struct Waiting {
    id: u64,
    /// In the order they settled.
    settled: VecDeque<(Moment, Vec<Waiter>)>,
    /// Per delay: everything that settled until here has had that pass.
    passed: Vec<Option<Moment>>,
    /// When its next pass is due; `None` while that pass is queued.
    due: Option<Moment>,
}

impl Rebounds {
    /// Passes after these delays; none means that the first pass is final.
    pub(crate) fn new(mut delays: Vec<Duration>) -> Self {
        delays.sort_unstable();
        delays.dedup();
        Self {
            delays,
            waiting: HashMap::new(),
            due: BTreeSet::new(),
            purges: HashMap::new(),
            next_id: 0,
        }
    }

    /// The delays that count for `purge`: broad ones run only the last.
    fn delays(&self, purge: &Purge) -> &[Duration] {
        match purge.selector.kind() {
            SelectorKind::Prefix | SelectorKind::Everything => {
                &self.delays[self.delays.len().saturating_sub(1)..]
            }
            _ => &self.delays,
        }
    }

    /// The first pass of `purge` settled `at` for these waiters. Answers those that need no later pass.
    pub(crate) fn settled(
        &mut self,
        purge: &Purge,
        waiters: Vec<Waiter>,
        at: Moment,
    ) -> Vec<Waiter> {
        if self.delays.is_empty() {
            return waiters;
        }
        let delays = self.delays(purge).len();
        let next_id = &mut self.next_id;
        let waiting = self.waiting.entry(purge.clone()).or_insert_with(|| {
            *next_id += 1;
            Waiting {
                id: *next_id,
                settled: VecDeque::new(),
                passed: vec![None; delays],
                due: None,
            }
        });
        let new = waiting.settled.is_empty();
        match waiting.settled.back_mut() {
            // Out of order by a hair (two flights): a later moment only delays the pass.
            Some((latest, others)) if *latest >= at => others.extend(waiters),
            _ => waiting.settled.push_back((at, waiters)),
        }
        if new {
            self.purges.insert(waiting.id, purge.clone());
            self.schedule(purge);
        } else if waiting.due.is_some() {
            self.schedule(purge);
        }
        Vec::new()
    }

    /// A purge of `purge` that began at `started` has succeeded. Answers who has had the last pass by that.
    pub(crate) fn purged(&mut self, purge: &Purge, started: Moment) -> Vec<Waiter> {
        let delays = self.delays(purge).to_vec();
        let Some(waiting) = self.waiting.get_mut(purge) else { return Vec::new() };
        for (passed, delay) in waiting.passed.iter_mut().zip(&delays) {
            *passed = (*passed).max(started.checked_sub(*delay));
        }
        let last = waiting.passed.last().copied().flatten();
        let done = waiting.settled.partition_point(|(at, _)| last.is_some_and(|last| *at <= last));
        let finished = waiting.settled.drain(..done).flat_map(|(_, waiters)| waiters).collect();
        self.schedule(purge);
        finished
    }

    /// Nobody will purge `purge` again: answers who waited for it.
    pub(crate) fn abandon(&mut self, purge: &Purge) -> Vec<Waiter> {
        let Some(waiting) = self.waiting.get_mut(purge) else { return Vec::new() };
        let abandoned = waiting.settled.drain(..).flat_map(|(_, waiters)| waiters).collect();
        self.schedule(purge);
        abandoned
    }

    /// Finds when `purge` is due next and forgets it when nobody waits.
    fn schedule(&mut self, purge: &Purge) {
        let delays = self.delays(purge).to_vec();
        let Some(waiting) = self.waiting.get_mut(purge) else { return };
        if let Some(due) = waiting.due.take() {
            self.due.remove(&(due, waiting.id));
        }
        let next = waiting.passed.iter().zip(&delays).filter_map(|(passed, delay)| {
            let at = waiting
                .settled
                .partition_point(|(at, _)| passed.is_some_and(|passed| *at <= passed));
            waiting.settled.get(at).map(|(settled, _)| *settled + *delay)
        });
        waiting.due = next.min();
        match waiting.due {
            Some(due) => {
                self.due.insert((due, waiting.id));
            }
            None => {
                self.purges.remove(&waiting.id);
                self.waiting.remove(purge);
            }
        }
    }

    /// Takes up to `max` selectors whose pass is due; each stays taken until it was purged or abandoned.
    pub(crate) fn take_due(&mut self, now: Moment, max: usize) -> Vec<Purge> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) else {
                break;
            };
            self.due.remove(&(due, id));
            if let Some(purge) = self.purges.get(&id) {
                if let Some(waiting) = self.waiting.get_mut(purge) {
                    waiting.due = None;
                }
                taken.push(purge.clone());
            }
        }
        taken
    }

    /// When the next pass is due.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many distinct selectors wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
