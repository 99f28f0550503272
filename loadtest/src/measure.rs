//! Figures: percentiles of latencies, medians of rounds, and how ours compares.

mod rounds;

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use crate::usage::Cpu;

pub(crate) use rounds::Interleaved;

/// Longest time recorded; a longer one counts as this.
const LONGEST: Duration = Duration::from_mins(10);

/// Of which percentiles a curve is made.
const CURVE: [f64; 12] = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// Latencies in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

/// Their percentiles.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Percentiles {
    count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    max_us: u64,
    /// Percent, and microseconds that so many stay within.
    by_percentile_us: Vec<(f64, u64)>,
}

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let longest = u64::try_from(LONGEST.as_micros())?;
        Ok(Self(Histogram::new_with_bounds(1, longest, 3)?))
    }

    /// These.
    pub(crate) fn of(all: impl IntoIterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut latencies = Self::new()?;
        for latency in all {
            latencies.record(latency);
        }
        Ok(latencies)
    }

    /// One more.
    fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// One more, where it counts.
    pub(crate) fn record_if(&mut self, counts: bool, latency: Duration) {
        if counts {
            self.record(latency);
        }
    }

    /// And these.
    fn add(&mut self, others: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// What such a part of them stays within, in microseconds.
    fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// What they come to.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |percent: f64| (percent, self.at(percent / 100.0));
        Percentiles {
            by_percentile_us: CURVE.map(at).to_vec(),
            count: self.0.len(),
            p50_us: self.at(0.5),
            p99_us: self.at(0.99),
            max_us: self.0.max(),
        }
    }
}

/// So many of something in so long.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// How many.
    pub(crate) count: u64,
    /// From the first to the last.
    pub(crate) took: Duration,
    /// What it cost.
    pub(crate) cpu: Cpu,
}

impl Round {
    fn rate(&self) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "figures for people"
        )]
        let rate = (self.count as f64 / self.took.as_secs_f64()) as u64;
        rate
    }
}

/// Rounds of the same thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<Round>);

impl Rounds {
    /// One more.
    pub(crate) fn push(&mut self, round: Round) {
        self.0.push(round);
    }

    /// How many a second, in the middle round.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn median(&self) -> anyhow::Result<u64> {
        Ok(self.sorted().get(self.0.len() / 2).context("no round was measured")?.rate())
    }

    /// The median, the spread around it, and the CPU time of the median round.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let sorted = self.sorted();
        let middle = sorted.get(sorted.len() / 2).context("no round was measured")?;
        Ok(json!({
            "per_second": middle.rate(),
            "slowest": sorted.first().map(|round| round.rate()),
            "fastest": sorted.last().map(|round| round.rate()),
            "rounds": sorted.len(),
            "per_second_by_round": self.0.iter().map(Round::rate).collect::<Vec<_>>(),
            "cpu_us_each": middle.cpu.microseconds_each(middle.count),
        }))
    }

    fn sorted(&self) -> Vec<&Round> {
        let mut sorted: Vec<&Round> = self.0.iter().collect();
        sorted.sort_by_key(|round| round.rate());
        sorted
    }
}

/// `ours / baseline`, in hundredths.
pub(crate) fn ratio(ours: u64, baseline: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let ratio = ours as f64 / baseline.max(1) as f64;
    (ratio * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_rates_whatever_the_order() {
        let mut rounds = Rounds::default();
        for (count, seconds) in [(900, 1), (100, 1), (800, 2)] {
            let took = Duration::from_secs(seconds);
            rounds.push(Round { count, took, cpu: Cpu::default() });
        }
        assert_eq!(rounds.median().expect("rounds"), 400);
        let document = rounds.document().expect("rounds");
        let of = |field: &str| document[field].clone();
        assert_eq!(
            [of("slowest"), of("per_second"), of("fastest")],
            [100, 400, 900].map(Value::from)
        );
        assert!(Rounds::default().median().is_err());
    }

    #[test]
    fn a_latency_that_does_not_count_is_not_recorded() {
        let mut latencies = Latencies::new().expect("a histogram");
        latencies.record_if(false, Duration::from_secs(1));
        latencies.record_if(true, Duration::from_micros(5));
        assert_eq!((latencies.percentiles().count, latencies.percentiles().max_us), (1, 5));
    }

    #[test]
    fn a_ratio_has_two_digits() {
        assert!((ratio(2, 3) - 0.67).abs() < 1e-9);
    }
}
