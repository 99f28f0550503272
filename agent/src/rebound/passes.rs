//! The later passes that all of some numbers need: those that are due, and what is through with them.
//!
//! A purge of a selector that starts at T is the pass `delay` of everything that settled until T - delay,
//! so a hot selector costs at most one extra purge per delay, however many numbers wait for it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Rebounds;
use crate::Moment;
use crate::batch::Waiter;
use crate::driver::Purge;
use crate::map::Map;

/// The selectors that wait for a later pass: a set bounded by the lane, which remembers stretches of the log beyond it.
#[derive(Debug)]
pub(super) struct Passes {
    delays: Vec<Duration>,
    waiting: Map<Arc<Purge>, Waiting>,
    due: BTreeSet<(Moment, u64)>,
    purges: Map<u64, Arc<Purge>>,
    next_id: u64,
    waiters: usize,
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

impl Passes {
    /// Passes after these delays; none means that the first pass is final.
    pub(super) fn new(mut delays: Vec<Duration>) -> Self {
        delays.sort_unstable();
        delays.dedup();
        Self {
            delays,
            waiting: Map::default(),
            due: BTreeSet::new(),
            purges: Map::default(),
            next_id: 0,
            waiters: 0,
        }
    }

    /// The first pass of `purge` settled `at` for these waiters. Answers those that need no later pass.
    pub(super) fn settled(
        &mut self,
        purge: &Purge,
        waiters: Vec<Waiter>,
        at: Moment,
    ) -> Vec<Waiter> {
        if self.delays.is_empty() {
            return waiters;
        }
        let delays = delays_of(&self.delays, purge).len();
        let next_id = &mut self.next_id;
        if !self.waiting.contains_key(purge) {
            *next_id += 1;
            let shared = Arc::new(purge.clone());
            let settled = VecDeque::with_capacity(1);
            let passed = vec![None; delays];
            let waiting = Waiting { id: *next_id, settled, passed, due: None };
            self.purges.insert(waiting.id, shared.clone());
            self.waiting.insert(shared, waiting);
        }
        let Some(waiting) = self.waiting.get_mut(purge) else { return waiters };
        self.waiters += waiters.len();
        let new = waiting.settled.is_empty();
        match waiting.settled.back_mut() {
            // Out of order by a hair (two flights): a later moment only delays the pass.
            Some((latest, others)) if *latest >= at => others.extend(waiters),
            _ => waiting.settled.push_back((at, waiters)),
        }
        if new || waiting.due.is_some() {
            self.schedule(purge);
        }
        Vec::new()
    }

    /// A purge of `purge` that began at `started` has succeeded. Answers who has had the last pass by that.
    pub(super) fn purged(&mut self, purge: &Purge, started: Moment) -> Vec<Waiter> {
        let Some(waiting) = self.waiting.get_mut(purge) else { return Vec::new() };
        for (passed, delay) in waiting.passed.iter_mut().zip(delays_of(&self.delays, purge)) {
            *passed = (*passed).max(started.checked_sub(*delay));
        }
        let last = waiting.passed.last().copied().flatten();
        let done = waiting.settled.partition_point(|(at, _)| last.is_some_and(|last| *at <= last));
        let finished: Vec<_> =
            waiting.settled.drain(..done).flat_map(|(_, waiters)| waiters).collect();
        self.waiters -= finished.len();
        self.schedule(purge);
        finished
    }

    /// Nobody will purge `purge` again: answers who waited for it.
    pub(super) fn abandon(&mut self, purge: &Purge) -> Vec<Waiter> {
        let Some(waiting) = self.waiting.get_mut(purge) else { return Vec::new() };
        let abandoned: Vec<_> =
            waiting.settled.drain(..).flat_map(|(_, waiters)| waiters).collect();
        self.waiters -= abandoned.len();
        self.schedule(purge);
        abandoned
    }

    /// Finds when `purge` is due next and forgets it when nobody waits.
    fn schedule(&mut self, purge: &Purge) {
        let Some(waiting) = self.waiting.get_mut(purge) else { return };
        if let Some(due) = waiting.due.take() {
            self.due.remove(&(due, waiting.id));
        }
        let delays = delays_of(&self.delays, purge);
        let next = waiting.passed.iter().zip(delays).filter_map(|(passed, delay)| {
            let at = waiting
                .settled
                .partition_point(|(at, _)| passed.is_some_and(|passed| *at <= passed));
            waiting.settled.get(at).map(|(settled, _)| *settled + *delay)
        });
        waiting.due = next.min();
        if let Some(due) = waiting.due {
            self.due.insert((due, waiting.id));
        } else {
            self.purges.remove(&waiting.id);
            self.waiting.remove(purge);
        }
    }

    /// Takes up to `max` selectors whose pass is due; each stays taken until it was purged or abandoned.
    pub(super) fn take_due(&mut self, now: Moment, max: usize) -> Vec<Purge> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) else {
                break;
            };
            self.due.remove(&(due, id));
            if let Some(purge) = self.purges.get(&id) {
                if let Some(waiting) = self.waiting.get_mut(purge.as_ref()) {
                    waiting.due = None;
                }
                taken.push(Purge::clone(purge));
            }
        }
        taken
    }

    /// When the next pass is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether there are later passes at all.
    pub(super) fn any(&self) -> bool {
        !self.delays.is_empty()
    }

    /// How many distinct selectors wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait for them: no fewer than there are selectors.
    pub(super) fn waiters(&self) -> usize {
        self.waiters
    }
}

/// Those of `delays` that count for `purge`: broad ones run only the last.
fn delays_of<'delays>(delays: &'delays [Duration], purge: &Purge) -> &'delays [Duration] {
    let passed_over = if Rebounds::only_last(purge) { delays.len().saturating_sub(1) } else { 0 };
    &delays[passed_over..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::{LineId, Mode, Place, Selector};

    use super::*;

    const DELAYS: [u64; 3] = [1, 11, 65];

    fn number(number: u64) -> Waiter {
        let place = Place { line: LineId::from_bytes([7; 16]), number };
        Waiter::Number { place, expires_at: None }
    }

    fn purge(selector: Selector) -> Purge {
        Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
    }

    fn tag() -> Purge {
        purge(Selector::Tag("a".parse().expect("a tag")))
    }

    fn seconds(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    fn passes() -> Passes {
        Passes::new(DELAYS.map(Duration::from_secs).to_vec())
    }

    proptest! {
        #[test]
        fn a_number_is_final_by_the_first_purge_after_its_last_delay(
            events in prop::collection::vec((0u64..20, any::<bool>()), 1..80)
        ) {
            let mut passes = passes();
            let (mut now, mut next, mut open) = (0, 0, Vec::new());
            for (wait, settle) in events {
                now += wait;
                if settle {
                    next += 1;
                    prop_assert!(passes.settled(&tag(), vec![number(next)], seconds(now)).is_empty());
                    open.push((next, now));
                } else {
                    let finished = passes.purged(&tag(), seconds(now));
                    let expected: Vec<_> = open.extract_if(.., |(_, at)| *at + 65 <= now).map(|(n, _)| number(n)).collect();
                    prop_assert_eq!(finished, expected);
                }
                prop_assert_eq!(passes.len(), usize::from(!open.is_empty()));
                prop_assert!(passes.next_due().is_none_or(|due| due <= seconds(now + 65)));
            }
        }
    }

    #[test]
    fn one_number_is_purged_after_each_delay_and_then_forgotten() {
        let mut passes = passes();
        passes.settled(&tag(), vec![number(1)], seconds(0));
        for (pass, delay) in DELAYS.into_iter().enumerate() {
            assert_eq!(passes.next_due(), Some(seconds(delay)));
            assert!(passes.take_due(seconds(delay - 1), 9).is_empty());
            assert_eq!(passes.take_due(seconds(delay), 9), [tag()]);
            assert!(passes.take_due(seconds(delay), 9).is_empty(), "taken once");
            let finished = passes.purged(&tag(), seconds(delay));
            assert_eq!(finished.len(), usize::from(pass == 2));
        }
        assert_eq!((passes.len(), passes.next_due()), (0, None));
    }

    #[test]
    fn a_hot_selector_costs_one_extra_purge_per_delay() {
        let mut passes = passes();
        let mut extra = 0;
        for second in 0..200 {
            if second < 100 {
                passes.purged(&tag(), seconds(second));
                passes.settled(&tag(), vec![number(second)], seconds(second));
            }
            for due in passes.take_due(seconds(second), 9) {
                extra += 1;
                passes.purged(&due, seconds(second));
            }
        }
        assert_eq!(passes.len(), 0);
        assert!(extra <= 66, "{extra} extra purges for the passes after the last of 100 seconds");
    }

    #[test]
    fn broad_selectors_run_only_the_last_pass() {
        let mut passes = passes();
        passes.settled(&purge(Selector::Everything), vec![number(1)], seconds(0));
        assert_eq!(passes.next_due(), Some(seconds(65)));
    }

    #[test]
    fn without_delays_the_first_pass_is_final() {
        let mut passes = Passes::new(Vec::new());
        assert_eq!(passes.settled(&tag(), vec![number(1)], seconds(0)), [number(1)]);
        assert_eq!(passes.len(), 0);
    }
}
