//! How an agent's clock stands to ours, from the fastest messages each way.
//!
//! ```text
//! heartbeat:  agent's clock when heard - our clock in it     = lead + way there      (the agent tells the least)
//! report:     our clock when received - agent's clock in it  = way back - lead       (we keep the least)
//! lead = half the difference, at most half the sum off: both ways take some time, nobody knows how much each
//! ```

use jiff::{SignedDuration, Timestamp};
use schemas::api::ClockOffset;

/// The least of this long, to twice this long, counts: clocks drift.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// What is known of one agent's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clocks {
    there: Option<i64>,
    back: OneWay,
}

/// How long another's messages take here, by both clocks: the way and the difference of the clocks together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OneWay(Option<Least>);

impl OneWay {
    /// One made at `made_at` on the other's clock has come `now`.
    pub(super) fn heard(&mut self, made_at: Timestamp, now: Timestamp) {
        let took = now.as_microsecond().saturating_sub(made_at.as_microsecond());
        match &mut self.0 {
            Some(least) => least.note(took, now),
            None => self.0 = Some(Least { begun: now, now: took, before: None }),
        }
    }

    /// The fastest of late.
    pub(super) fn fastest(self) -> Option<SignedDuration> {
        self.0.map(|least| SignedDuration::from_micros(least.get()))
    }
}

/// The least of late, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Least {
    begun: Timestamp,
    now: i64,
    before: Option<i64>,
}

impl Clocks {
    /// A report made at `made_at` on the agent's clock has come `now`; `there` is what it tells of the way there.
    pub(super) fn heard(&mut self, made_at: Timestamp, there: Option<i64>, now: Timestamp) {
        self.there = there;
        self.back.heard(made_at, now);
    }

    /// The agent's lead, with its bound; `None` while one of the ways is unknown.
    pub(super) fn offset(&self) -> Option<ClockOffset> {
        let (there, back) = (self.there?, self.back.0?.get());
        let seconds = |micros: i64| SignedDuration::from_micros(micros).as_secs_f64();
        let (difference, sum) = (there.saturating_sub(back), there.saturating_add(back));
        // A clock was set within the window: the sum is no longer the time of two ways.
        let bound = sum.max(0);
        Some(ClockOffset {
            offset_seconds: seconds(difference) / 2.0,
            bound_seconds: seconds(bound) / 2.0,
        })
    }
}

impl Least {
    fn note(&mut self, took: i64, now: Timestamp) {
        let age = now.duration_since(self.begun);
        if age >= WINDOW || age.is_negative() {
            *self = Self { begun: now, now: took, before: Some(self.now) };
        }
        self.now = self.now.min(took);
    }

    fn get(self) -> i64 {
        self.before.map_or(self.now, |before| before.min(self.now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    proptest! {
        #[test]
        fn the_true_lead_is_always_within_the_bound(
            lead in -5_000i64..5_000,
            ways in prop::collection::vec((0i64..400, 0i64..400), 1..50)
        ) {
            let mut clocks = Clocks::default();
            let mut least_there = i64::MAX;
            for (second, (there, back)) in (0..).zip(&ways) {
                least_there = least_there.min(lead + there);
                let received = at(second * 1_000);
                clocks.heard(at(second * 1_000 - back + lead), Some(least_there * 1_000), received);
            }
            let ClockOffset { offset_seconds, bound_seconds } = clocks.offset().unwrap();
            let off = (offset_seconds - f64::from(i32::try_from(lead).unwrap()) / 1_000.0).abs();
            prop_assert!(off <= bound_seconds + 1e-9, "{off} off, bound {bound_seconds}");
            let shortest = |way: fn(&(i64, i64)) -> i64| ways.iter().map(way).min().unwrap();
            let both = shortest(|way| way.0) + shortest(|way| way.1);
            prop_assert!(bound_seconds <= f64::from(i32::try_from(both).unwrap()) / 2_000.0 + 1e-9);
        }
    }

    #[test]
    fn a_clock_that_is_set_shows_after_the_window() {
        let mut clocks = Clocks::default();
        for second in 0..200 {
            let lead = if second < 20 { 0 } else { 3_000 };
            clocks.heard(at(second * 1_000 + lead - 1), Some(lead * 1_000), at(second * 1_000));
        }
        let offset = clocks.offset().unwrap().offset_seconds;
        assert!((offset - 3.0).abs() < 0.01, "{offset}");
    }

    #[test]
    fn one_way_alone_tells_nothing() {
        let mut clocks = Clocks::default();
        clocks.heard(at(0), None, at(5));
        assert_eq!(clocks.offset(), None);
    }
}
