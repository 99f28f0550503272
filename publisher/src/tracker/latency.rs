//! Latencies over windows: a ring of histograms, merged before percentiles are taken.

use std::collections::VecDeque;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use jiff::{SignedDuration, Timestamp};
use schemas::Region;
use schemas::api::{Latency, LatencyReport, LatencyWindow, LatencyWindows};

use super::Tracker;

/// Longest latency told apart from longer ones.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_mins(15);

const INTERVAL: SignedDuration = SignedDuration::from_secs(15);
const INTERVALS_MAX: usize = 60;
const MINUTE: i64 = 60 / INTERVAL.as_secs();
const QUARTER: i64 = 15 * MINUTE;

/// Decimal digits that a percentile keeps: it is off by 1 % at most, and a histogram takes 20 KiB.
const DIGITS: u8 = 2;

/// Latencies of one region.
#[derive(Debug)]
pub(super) struct Latencies {
    since_start: Histogram<u64>,
    /// Rising; only intervals in which something was recorded.
    intervals: VecDeque<(i64, Histogram<u64>)>,
}

impl Latencies {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { since_start: histogram(), intervals: VecDeque::new() }
    }

    /// `count` of them, at `now`.
    pub(super) fn record(&mut self, latency: SignedDuration, count: u64, now: Timestamp) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(0).max(1);
        self.since_start.saturating_record_n(micros, count);
        self.current(now).saturating_record_n(micros, count);
    }

    /// Percentiles over the three windows that end at `now`; a window begins with a whole interval.
    pub(super) fn windows(&self, now: Timestamp) -> LatencyWindows {
        let over = |window| {
            let mut merged = histogram();
            self.add_to(&mut merged, window, now);
            percentiles(&merged)
        };
        LatencyWindows {
            one_minute: over(LatencyWindow::OneMinute),
            fifteen_minutes: over(LatencyWindow::FifteenMinutes),
            since_start: over(LatencyWindow::SinceStart),
        }
    }

    /// Adds those of the window that ends at `now`.
    fn add_to(&self, merged: &mut Histogram<u64>, window: LatencyWindow, now: Timestamp) {
        let mut add =
            |part: &Histogram<u64>| merged.add(part).expect("all histograms have the same bounds");
        let intervals = match window {
            LatencyWindow::OneMinute => MINUTE,
            LatencyWindow::FifteenMinutes => QUARTER,
            LatencyWindow::SinceStart => return add(&self.since_start),
        };
        let first = interval_at(now) - intervals;
        let within = self.intervals.iter().filter(|(interval, _)| *interval > first);
        within.for_each(|(_, part)| add(part));
    }

    fn current(&mut self, now: Timestamp) -> &mut Histogram<u64> {
        let newest = self.intervals.back().map(|(interval, _)| *interval);
        // A clock that was set back goes on in the newest interval.
        let interval = newest.map_or(interval_at(now), |newest| newest.max(interval_at(now)));
        if newest != Some(interval) {
            self.intervals.push_back((interval, histogram()));
        }
        if self.intervals.len() > INTERVALS_MAX {
            self.intervals.pop_front();
        }
        &mut self.intervals.back_mut().expect("one was just pushed").1
    }
}

impl Tracker {
    /// Latencies of one region, or of all of them merged.
    pub(crate) fn latency(
        &self,
        region: Option<Region>,
        window: LatencyWindow,
        now: Timestamp,
    ) -> LatencyReport {
        let mut merged = histogram();
        for (measured, latencies) in &self.measured {
            if region.as_ref().is_none_or(|region| region == measured) {
                latencies.add_to(&mut merged, window, now);
            }
        }
        LatencyReport { region, window, applied: percentiles(&merged), histogram: encoded(&merged) }
    }
}

fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram of these bounds fits into memory");
    BASE64_STANDARD.encode(bytes)
}

fn interval_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(INTERVAL.as_secs())
}

fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, longest, DIGITS).expect("the bounds are constants in order")
}

fn percentiles(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
    Latency {
        count: histogram.len(),
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: milliseconds(histogram.max()),
    }
}

fn milliseconds(micros: u64) -> f64 {
    SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).as_millis_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hdrhistogram::serialization::Deserializer;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn exact(sorted: &[u64], permille: usize) -> f64 {
        milliseconds(sorted[(sorted.len() * permille).div_ceil(1_000) - 1])
    }

    fn near(measured: f64, exact: f64) -> bool {
        (measured - exact).abs() <= exact * 0.01 + 0.001
    }

    proptest! {
        #[test]
        fn percentiles_of_merged_histograms_are_those_of_all_samples(
            samples in prop::collection::vec((1u64..2_000_000, 0i64..2_000), 1..300)
        ) {
            let mut latencies = Latencies::new();
            let mut samples = samples;
            samples.sort_by_key(|(_, when)| *when);
            for (micros, when) in &samples {
                latencies.record(SignedDuration::from_micros(micros.cast_signed()), 1, at(*when));
            }
            let now = at(2_000);
            let windows = latencies.windows(now);
            for (window, from) in [
                (windows.one_minute, 2_000 - 45),
                (windows.fifteen_minutes, 2_000 - 885),
                (windows.since_start, 0),
            ] {
                let aligned = |when: i64| interval_at(at(when)) * INTERVAL.as_secs();
                let mut expected: Vec<u64> = samples
                    .iter()
                    .filter(|(_, when)| aligned(*when) >= aligned(from))
                    .map(|(micros, _)| *micros)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(window.count, expected.len() as u64);
                if !expected.is_empty() {
                    for (measured, permille) in [
                        (window.p50_ms, 500),
                        (window.p95_ms, 950),
                        (window.p99_ms, 990),
                        (window.p999_ms, 999),
                        (window.max_ms, 1_000),
                    ] {
                        let exact = exact(&expected, permille);
                        prop_assert!(near(measured, exact), "{measured} for {exact} at {permille}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_merged_histogram_is_read_back_with_what_was_recorded_in_its_regions_and_window() {
        let mut tracker = Tracker::new("p1".parse().unwrap(), Arc::default(), at(0));
        for (region, millis) in [("eu-west", 10), ("us-east", 40)] {
            let region = region.parse().unwrap();
            let place = tracker.measured_at(&region).unwrap();
            let latencies = &mut tracker.measured[place].1;
            latencies.record(SignedDuration::from_millis(millis), 3, at(0));
            latencies.record(SignedDuration::from_millis(millis * 2), 1, at(1_000));
        }
        let read = |region: Option<&str>, window| {
            let region = region.map(|region| region.parse().unwrap());
            let report = tracker.latency(region, window, at(1_000));
            let bytes = BASE64_STANDARD.decode(&report.histogram).unwrap();
            let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            assert_eq!(percentiles(&read), report.applied);
            (read.len(), milliseconds(read.max()))
        };
        let (count, slowest) = read(None, LatencyWindow::SinceStart);
        assert!(count == 8 && near(slowest, 80.0), "{count} {slowest}");
        let (count, slowest) = read(Some("eu-west"), LatencyWindow::OneMinute);
        assert!(count == 1 && near(slowest, 20.0), "{count} {slowest}");
        assert_eq!(read(Some("mars"), LatencyWindow::FifteenMinutes).0, 0);
    }

    #[test]
    fn a_year_of_samples_keeps_a_quarter_of_an_hour() {
        let mut latencies = Latencies::new();
        for day in 0..365 * 24 {
            latencies.record(SignedDuration::from_hours(1), 1, at(day * 3_600));
            latencies.record(SignedDuration::from_millis(-5), 1, at(day * 3_600 + 20));
        }
        assert!(latencies.intervals.len() <= INTERVALS_MAX);
        let windows = latencies.windows(at(364 * 24 * 3_600 + 24 * 3_600 + 1_000));
        assert_eq!((windows.fifteen_minutes.count, windows.since_start.count), (0, 2 * 365 * 24));
        assert!(near(windows.since_start.max_ms, 900_000.0));
    }
}
