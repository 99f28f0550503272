//! Figures: percentiles of latencies, and what the kernel says of a process.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest time recorded; a longer one counts as this.
const LONGEST: Duration = Duration::from_mins(10);

/// Latencies in microseconds.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// Their percentiles.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Percentiles {
    count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    max_us: u64,
}

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let longest = u64::try_from(LONGEST.as_micros())?;
        Ok(Self(Histogram::new_with_bounds(1, longest, 3)?))
    }

    /// One more, where it counts.
    pub(crate) fn record_if(&mut self, counts: bool, latency: Duration) {
        if counts {
            self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// What they come to.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            p50_us: self.0.value_at_quantile(0.5),
            p99_us: self.0.value_at_quantile(0.99),
            max_us: self.0.max(),
        }
    }
}

/// `ours / baseline`, in hundredths.
pub(crate) fn ratio(ours: u64, baseline: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let ratio = ours as f64 / baseline.max(1) as f64;
    (ratio * 100.0).round() / 100.0
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse::<u64>()?;
    Ok(kibibytes * 1024)
}
