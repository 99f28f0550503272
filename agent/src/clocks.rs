//! How the agent's clock stands to those of the publishers it hears: the least lead of late, per publisher.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use schemas::{ClockReading, PublisherName};
use tokio::time::Instant;

/// The least of two spans of this length is told: half a minute to a minute.
const SPAN: Duration = Duration::from_secs(30);
/// Most publishers told of; those silent for longest make room.
const PUBLISHERS_MAX: usize = 64;

/// The clocks of all publishers, as the lanes of an agent hear them together.
#[derive(Debug, Default)]
pub(crate) struct Clocks(Mutex<BTreeMap<PublisherName, Clock>>);

#[derive(Debug)]
struct Clock {
    began: Instant,
    heard: Instant,
    /// The least of the present span, and of the one before.
    least: (i64, Option<i64>),
}

impl Clocks {
    /// A publisher's clock was at `said` when the agent's was at `heard`.
    pub(crate) fn hear(&self, publisher: &PublisherName, said: Timestamp, heard: Timestamp) {
        let after = heard.as_microsecond().saturating_sub(said.as_microsecond());
        let now = Instant::now();
        let mut clocks = self.0.lock();
        if let Some(clock) = clocks.get_mut(publisher) {
            clock.turn(now);
            clock.heard = now;
            clock.least.0 = clock.least.0.min(after);
            return;
        }
        if clocks.len() >= PUBLISHERS_MAX {
            let longest = clocks.iter().min_by_key(|(_, clock)| clock.heard);
            if let Some(name) = longest.map(|(name, _)| name.clone()) {
                clocks.remove(&name);
            }
        }
        let clock = Clock { began: now, heard: now, least: (after, None) };
        clocks.insert(publisher.clone(), clock);
    }

    /// What the clock of a publisher shows when the agent's shows `time`: a little less, by the shortest way here. The
    /// agent's own where the publisher was not heard.
    pub(crate) fn time_of(&self, publisher: &PublisherName, time: Timestamp) -> Timestamp {
        let clocks = self.0.lock();
        let Some(clock) = clocks.get(publisher) else { return time };
        let (present, before) = clock.least;
        let lead = before.map_or(present, |before| before.min(present));
        time.checked_sub(SignedDuration::from_micros(lead)).unwrap_or(time)
    }

    /// What was heard of late.
    pub(crate) fn readings(&self) -> Vec<ClockReading> {
        let now = Instant::now();
        let mut clocks = self.0.lock();
        clocks.retain(|_, clock| now.duration_since(clock.heard) < 2 * SPAN);
        let readings = clocks.iter().map(|(publisher, clock)| {
            let (present, before) = clock.least;
            let heard_after_us = before.map_or(present, |before| before.min(present));
            ClockReading { publisher: publisher.clone(), heard_after_us }
        });
        readings.collect()
    }
}

impl Clock {
    /// Begins a new span when the present one is over.
    fn turn(&mut self, now: Instant) {
        let age = now.duration_since(self.began);
        if age >= SPAN {
            let before = (age < 2 * SPAN).then_some(self.least.0);
            self.least = (i64::MAX, before);
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn name(name: &str) -> PublisherName {
        name.parse().expect("a name")
    }

    fn hear(clocks: &Clocks, publisher: &str, after_us: i64) {
        let said = Timestamp::from_second(1_000_000).expect("a time");
        let heard = Timestamp::from_microsecond(said.as_microsecond() + after_us);
        clocks.hear(&name(publisher), said, heard.expect("a time"));
    }

    fn told(clocks: &Clocks) -> Vec<(String, i64)> {
        let readings = clocks.readings().into_iter();
        readings.map(|clock| (clock.publisher.to_string(), clock.heard_after_us)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_of_about_a_minute_is_told_and_then_forgotten() {
        let clocks = Clocks::default();
        hear(&clocks, "a", -700);
        for second in 0..30 {
            assert_eq!(told(&clocks), [("a".to_owned(), -700)], "after {second} s");
            hear(&clocks, "a", 500 + second);
            sleep(Duration::from_secs(1)).await;
        }
        for second in 0..40 {
            hear(&clocks, "a", 2_000 + second);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(told(&clocks), [("a".to_owned(), 2_000)]);
        sleep(Duration::from_mins(1)).await;
        assert_eq!(told(&clocks), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_publishers_told_of_are_bounded_and_in_order() {
        let clocks = Clocks::default();
        for publisher in 0..200 {
            hear(&clocks, &format!("p{publisher:03}"), publisher);
            sleep(Duration::from_millis(1)).await;
        }
        let told = told(&clocks);
        assert_eq!(told.len(), PUBLISHERS_MAX);
        assert_eq!(told.first(), Some(&("p136".to_owned(), 136)));
        assert!(told.is_sorted());
    }
}
