//! Latencies in rounds: the same thing undisturbed, disturbed, and undisturbed again, over and over. How far the
//! undisturbed ones differ is what a difference must exceed to mean anything.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::{Latencies, ratio};

/// Latencies of rounds of the same thing.
#[derive(Debug, Default)]
pub(crate) struct LatencyRounds(Vec<Latencies>);

/// Undisturbed, disturbed and undisturbed again, in turn.
#[derive(Debug, Default)]
pub(crate) struct Interleaved {
    /// Before each disturbance.
    pub(crate) before: LatencyRounds,
    /// During it.
    pub(crate) disturbed: LatencyRounds,
    /// After it.
    pub(crate) after: LatencyRounds,
}

impl LatencyRounds {
    /// One more.
    pub(crate) fn push(&mut self, round: Latencies) {
        self.0.push(round);
    }

    /// In microseconds, by round.
    fn at(&self, quantile: f64) -> Vec<u64> {
        self.0.iter().map(|round| round.at(quantile)).collect()
    }

    /// All rounds together, and the spread of their percentiles.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let mut all = Latencies::new()?;
        for round in &self.0 {
            all.add(round)?;
        }
        let mut document = json!(all.percentiles());
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
            let rounds = self.at(quantile);
            document[format!("{name}_median")] = json!(median(&rounds)?);
            document[format!("{name}_by_round")] = json!(rounds);
        }
        Ok(document)
    }
}

impl Interleaved {
    /// What a scenario tells of them: `ours`, `baseline`, how they differ, and how the baseline differs from itself.
    ///
    /// # Errors
    /// When there is no round.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let mut baseline = self.before.0.clone();
        baseline.extend(self.after.0.iter().cloned());
        let baseline = LatencyRounds(baseline);
        let compared = |quantile| -> anyhow::Result<_> {
            let (ours, control) =
                (median(&self.disturbed.at(quantile))?, median(&baseline.at(quantile))?);
            let (before, after) = (self.before.at(quantile), self.after.at(quantile));
            let noise: Vec<u64> = before.iter().zip(&after).map(|(b, a)| b.abs_diff(*a)).collect();
            let most = noise.iter().max().copied().unwrap_or_default();
            Ok((ratio(ours, control), milliseconds(ours) - milliseconds(control), noise, most))
        };
        let ((p50_ratio, p50, noise50, most50), (p99_ratio, p99, noise99, most99)) =
            (compared(0.5)?, compared(0.99)?);
        Ok(json!({
            "ours": self.disturbed.document()?,
            "baseline": baseline.document()?,
            "ratio": p50_ratio,
            "ratio_p99": p99_ratio,
            "difference_ms": {"p50": rounded(p50), "p99": rounded(p99)},
            "control_noise_ms": {
                "p50": milliseconds(median(&noise50)?), "p50_most": milliseconds(most50),
                "p99": milliseconds(median(&noise99)?), "p99_most": milliseconds(most99),
            },
        }))
    }
}

/// The one in the middle.
///
/// # Errors
/// When there is none.
fn median(figures: &[u64]) -> anyhow::Result<u64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().context("no round was measured")
}

fn milliseconds(microseconds: u64) -> f64 {
    rounded(Duration::from_micros(microseconds).as_secs_f64() * 1e3)
}

fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(of: &[u64]) -> LatencyRounds {
        LatencyRounds(of.iter().map(|milliseconds| latencies(*milliseconds)).collect())
    }

    fn latencies(milliseconds: u64) -> Latencies {
        let mut latencies = Latencies::new().expect("a histogram");
        latencies.record(Duration::from_millis(milliseconds));
        latencies
    }

    #[test]
    fn a_difference_stands_beside_what_the_control_differs_from_itself() {
        let all = Interleaved {
            before: rounds(&[2, 2]),
            disturbed: rounds(&[9]),
            after: rounds(&[2, 5]),
        };
        let document = all.document().expect("rounds");
        let near = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!((value - expected).abs() < 0.02, "{value} for {expected}");
        };
        near(&document["difference_ms"]["p99"], 7.0);
        near(&document["control_noise_ms"]["p99_most"], 3.0);
        near(&document["ratio"], 4.5);
        assert_eq!(document["baseline"]["count"], 4);
    }

    #[test]
    fn without_a_round_there_is_no_figure() {
        assert!(Interleaved::default().document().is_err());
        assert!(LatencyRounds::default().document().is_err());
    }
}
