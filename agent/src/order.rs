//! The order of caches: an outer lane holds a number until the inner one has settled it, at most the barrier.

use std::collections::VecDeque;
use std::time::Duration;

use schemas::Place;

use crate::Moment;

/// What an outer lane sees of the lane it comes after.
pub(crate) trait Inner: std::fmt::Debug + Send + Sync {
    /// Whether it has settled the first pass of `place`.
    fn settled(&self, place: Place) -> bool;

    /// Whether its cache is known not to work: then nobody waits for it before the first pass.
    fn broken(&self) -> bool;
}

/// Things that wait, in the order heard, until the inner lane has settled their place.
#[derive(Debug)]
pub(crate) struct Held<T> {
    waiting: VecDeque<(Moment, Place, T)>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Held<T> {
    /// `thing` waits from `now` on.
    pub(crate) fn hold(&mut self, place: Place, thing: T, now: Moment) {
        self.waiting.push_back((now, place, thing));
    }

    /// The next thing that need not wait any more: the inner lane has settled it, does not work, or
    /// `barrier` is over. `None` as barrier waits for the inner lane whatever happens.
    pub(crate) fn release(
        &mut self,
        inner: Option<&dyn Inner>,
        barrier: Option<Duration>,
        now: Moment,
    ) -> Option<(Place, T)> {
        let (since, place, _) = self.waiting.front()?;
        let over = barrier.is_some_and(|barrier| now >= *since + barrier);
        let free = inner.is_none_or(|inner| {
            inner.settled(*place) || over || barrier.is_some() && inner.broken()
        });
        if !free {
            return None;
        }
        self.waiting.pop_front().map(|(_, place, thing)| (place, thing))
    }

    /// When the first one's `barrier` is over.
    pub(crate) fn over_at(&self, barrier: Duration) -> Option<Moment> {
        self.waiting.front().map(|(since, _, _)| *since + barrier)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use schemas::LineId;

    use super::*;

    const BARRIER: Duration = Duration::from_secs(1);

    #[derive(Debug)]
    struct UpTo(u64, bool);

    impl Inner for UpTo {
        fn settled(&self, place: Place) -> bool {
            place.number <= self.0
        }

        fn broken(&self) -> bool {
            self.1
        }
    }

    fn held() -> Held<u64> {
        let mut held = Held::default();
        for number in 1..=3 {
            let place = Place { line: LineId::from_bytes([1; 16]), number };
            held.hold(place, number, Moment::ZERO);
        }
        held
    }

    fn released(
        held: &mut Held<u64>,
        inner: &UpTo,
        barrier: Option<Duration>,
        now: Moment,
    ) -> Vec<u64> {
        std::iter::from_fn(|| held.release(Some(inner), barrier, now).map(|(_, n)| n)).collect()
    }

    #[test]
    fn what_the_inner_lane_has_settled_goes_at_once() {
        assert_eq!(released(&mut held(), &UpTo(2, false), Some(BARRIER), Moment::ZERO), [1, 2]);
    }

    #[test]
    fn nobody_waits_longer_than_the_barrier() {
        let mut held = held();
        assert!(released(&mut held, &UpTo(0, false), Some(BARRIER), BARRIER / 2).is_empty());
        assert_eq!(held.over_at(BARRIER), Some(BARRIER));
        assert_eq!(released(&mut held, &UpTo(0, false), Some(BARRIER), BARRIER), [1, 2, 3]);
    }

    #[test]
    fn a_broken_inner_cache_holds_up_nothing_but_the_later_passes() {
        assert_eq!(released(&mut held(), &UpTo(0, true), Some(BARRIER), Moment::ZERO), [1, 2, 3]);
        assert!(released(&mut held(), &UpTo(0, true), None, BARRIER * 99).is_empty());
    }
}
