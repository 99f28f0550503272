//! The order of caches: an outer lane holds a number until the inner one has settled it, at most the barrier.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use schemas::{LineId, Number, Place};
use uuid::Uuid;

use crate::Moment;

/// What an outer lane sees of the lane it comes after.
pub(crate) trait Inner: std::fmt::Debug + Send + Sync {
    /// Whether it has settled the first pass of `place`.
    fn settled(&self, place: Place) -> bool;

    /// All numbers of `line` up to here it has settled.
    fn applied(&self, line: LineId) -> Number;

    /// Per line, up to where all numbers have had their last pass.
    fn finals(&self) -> Floors;

    /// Whether its cache is known not to work: then nobody waits for it before the first pass.
    fn broken(&self) -> bool;

    /// Whether it flushes, or may have to now.
    fn flushing(&self) -> bool;

    /// How often its cache was flushed hard.
    fn flushes(&self) -> u64;

    /// Whether it has carried out an order.
    fn has_obeyed(&self, order: Uuid) -> bool;
}

/// Up to which number of every line something holds.
pub(crate) type Floors = HashMap<LineId, Number>;

/// What an outer cache has fetched from the inner one is stored within this time. So the last pass of the outer one
/// begins no sooner after the last pass of the inner one.
pub(crate) const HOP: Duration = Duration::from_secs(1);
/// How often an outer lane looks how far the inner one has come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Delays of an outer lane's later passes: the last one comes after the last one of the inner lane, with time for that
/// to be answered and known.
pub(crate) fn delays_after(inner: &[Duration], mut outer: Vec<Duration>) -> Vec<Duration> {
    let inner = inner.iter().max().map(|last| *last + 2 * HOP);
    if let (Some(inner), Some(last)) = (inner, outer.iter_mut().max()) {
        *last = inner.max(*last);
    }
    outer
}

/// How far the last passes of the inner lane have come, as it was a hop ago.
#[derive(Debug, Default)]
pub(crate) struct Finals {
    looks: VecDeque<(Moment, Arc<Floors>)>,
}

impl Finals {
    /// Looks at `inner`, if it is time to.
    pub(crate) fn look(&mut self, inner: &dyn Inner, now: Moment) {
        if self.next_look().is_some_and(|next| now < next) {
            return;
        }
        self.looks.push_back((now, Arc::new(inner.finals())));
        while self.looks.get(1).is_some_and(|(at, _)| *at + HOP <= now) {
            self.looks.pop_front();
        }
    }

    /// When it is time to look again.
    pub(crate) fn next_look(&self) -> Option<Moment> {
        self.looks.back().map(|(at, _)| *at + LOOK_EVERY)
    }

    /// What was so a hop before `now`, at least.
    pub(crate) fn known(&self, now: Moment) -> Arc<Floors> {
        let known = self.looks.iter().rev().find(|(at, _)| *at + HOP <= now);
        known.map(|(_, floors)| floors.clone()).unwrap_or_default()
    }
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

    /// Takes out what waits for one of these; answers for which.
    pub(crate) fn withdraw(&mut self, places: &HashSet<Place>) -> Vec<Place> {
        let mut gone = Vec::new();
        self.waiting.retain(|(_, place, _)| {
            let stays = !places.contains(place);
            gone.extend((!stays).then_some(*place));
            stays
        });
        gone
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
    use super::*;

    const BARRIER: Duration = Duration::from_secs(1);

    #[derive(Debug)]
    struct UpTo(u64, bool);

    impl Inner for UpTo {
        fn settled(&self, place: Place) -> bool {
            place.number <= self.0
        }

        fn applied(&self, _: LineId) -> Number {
            self.0
        }

        fn finals(&self) -> Floors {
            [(LineId::from_bytes([1; 16]), self.0)].into()
        }

        fn broken(&self) -> bool {
            self.1
        }

        fn flushing(&self) -> bool {
            false
        }

        fn flushes(&self) -> u64 {
            0
        }

        fn has_obeyed(&self, _: uuid::Uuid) -> bool {
            true
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
    fn what_is_known_of_the_last_passes_is_a_hop_old() {
        let mut finals = Finals::default();
        let floor = |finals: &Finals, now| finals.known(now).values().next().copied();
        for second in 0..9_u64 {
            let now = Moment::from_secs(second);
            finals.look(&UpTo(second, false), now);
            finals.look(&UpTo(99, false), now + LOOK_EVERY / 2);
            assert_eq!(floor(&finals, now), second.checked_sub(1));
            assert_eq!(floor(&finals, now + HOP / 2), second.checked_sub(1));
        }
        assert!(finals.looks.len() < 4);
    }

    #[test]
    fn an_equal_last_delay_comes_after_the_inner_one() {
        let seconds = |delays: &[u64]| delays.iter().map(|d| Duration::from_secs(*d)).collect();
        let after = |inner: &[u64], outer: &[u64]| -> Vec<u64> {
            let inner: Vec<_> = seconds(inner);
            delays_after(&inner, seconds(outer)).iter().map(Duration::as_secs).collect()
        };
        assert_eq!(after(&[1, 11, 65], &[1, 11, 65]), [1, 11, 67]);
        assert_eq!(after(&[1], &[1, 11, 65]), [1, 11, 65]);
        assert_eq!(after(&[], &[5]), [5]);
        assert_eq!(after(&[5], &[]), [0; 0]);
    }

    #[test]
    fn a_broken_inner_cache_holds_up_nothing_but_the_later_passes() {
        assert_eq!(released(&mut held(), &UpTo(0, true), Some(BARRIER), Moment::ZERO), [1, 2, 3]);
        assert!(released(&mut held(), &UpTo(0, true), None, BARRIER * 99).is_empty());
    }
}
