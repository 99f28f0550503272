//! How long purges take, with the histogram itself, so that whoever has several can merge them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Region;

use super::Latency;

/// Over which time latencies are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LatencyWindow {
    /// The last minute.
    #[serde(rename = "1m")]
    OneMinute,
    /// The last quarter of an hour.
    #[default]
    #[serde(rename = "15m")]
    FifteenMinutes,
    /// Since this publisher started.
    #[serde(rename = "since_start")]
    SinceStart,
}

/// Body of `GET /v1/latency`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyReport {
    /// Of this region; null: of all regions together.
    pub region: Option<Region>,
    /// Over this time.
    pub window: LatencyWindow,
    /// Accepted to applied, on one clock.
    pub applied: Latency,
    /// The histogram that these percentiles are of, in microseconds: `HdrHistogram` V2, compressed, in base64.
    pub histogram: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_latency_comes_back_as_it_went() {
        let latency = json!({
            "count": 3, "p50_ms": 1.5, "p95_ms": 2.0, "p99_ms": 2.5, "p999_ms": 2.5, "max_ms": 3.0,
        });
        for window in ["1m", "15m", "since_start"] {
            let body = json!({
                "region": "eu-west", "window": window, "applied": latency, "histogram": "HISTFAAA",
            });
            let report: LatencyReport = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(serde_json::to_value(report).unwrap(), body);
        }
    }
}
