//! The bus at a glance: regions, caches, and how long purges take.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CachePause;
use crate::{Abilities, AgentName, CacheName, CircuitState, Outcome, Priority, Region};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// This page.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Latency in milliseconds over one window, from merged histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Applied latency over three windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyWindows {
    /// The last minute.
    #[serde(rename = "1m")]
    pub one_minute: Latency,
    /// The last quarter of an hour.
    #[serde(rename = "15m")]
    pub fifteen_minutes: Latency,
    /// Since this publisher started.
    pub since_start: Latency,
}

/// One row of `GET /v1/regions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionSummary {
    /// Where.
    pub region: Region,
    /// How many agents.
    pub agents: usize,
    /// How many caches.
    pub caches: usize,
    /// Whether all of them are ready.
    pub ready: bool,
    /// Numbers that the slowest cache has known of and not settled.
    pub lag_numbers: u64,
    /// Age of the oldest unsettled number in seconds.
    pub lag_seconds: f64,
    /// Accepted to applied, on one clock.
    pub applied: LatencyWindows,
}

/// One row of `GET /v1/caches`: one lane of a cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheSummary {
    /// Whose.
    pub agent: AgentName,
    /// Where.
    pub region: Region,
    /// Which cache.
    pub cache: CacheName,
    /// Which of its lanes.
    pub priority: Priority,
    /// Its kind.
    pub driver: String,
    /// Floors per line.
    pub floors: Vec<Floor>,
    /// Whether it has caught up since it started.
    pub ready: bool,
    /// Numbers known of and not settled.
    pub lag_numbers: u64,
    /// Age of the oldest unsettled number in seconds.
    pub oldest_unsettled_seconds: Option<f64>,
    /// Whether it purges.
    pub circuit: CircuitState,
    /// The latest trouble.
    pub last_error: Option<String>,
    /// What became of everything so far, by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// What it can purge.
    pub abilities: Option<Abilities>,
    /// What it does in another way than asked: "soft is done hard".
    pub downgrades: Vec<String>,
    /// The pauses that it obeys; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<CachePause>,
    /// When its agent last reported.
    pub reported_at: Timestamp,
}

/// Progress of a lane on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// The line.
    pub line: String,
    /// Where the lane began.
    pub base: u64,
    /// All up to here are applied.
    pub applied: u64,
    /// All up to here are final.
    #[serde(rename = "final")]
    pub finished: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_of_regions_comes_back_as_it_went() {
        let latency = json!({
            "count": 3, "p50_ms": 1.5, "p95_ms": 2.0, "p99_ms": 2.5, "p999_ms": 2.5, "max_ms": 3.0,
        });
        let body = json!({
            "items": [{
                "region": "eu-west", "agents": 1, "caches": 2, "ready": true,
                "lag_numbers": 0, "lag_seconds": 0.0,
                "applied": {"1m": latency, "15m": latency, "since_start": latency},
            }],
            "next_cursor": null,
        });
        let page: Page<RegionSummary> = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(page).unwrap(), body);
    }

    #[test]
    fn a_cache_comes_back_as_it_went() {
        let body = json!({
            "agent": "edge-1", "region": "eu-west", "cache": "varnish", "priority": "critical",
            "driver": "varnish",
            "floors": [
                {"line": "11111111111111111111111111111111", "base": 0, "applied": 9, "final": 7},
            ],
            "ready": true, "lag_numbers": 2, "oldest_unsettled_seconds": 0.5, "circuit": "open",
            "last_error": "connection refused", "outcomes": {"purged": 9, "not_ours": 1},
            "abilities": {
                "url": "supported", "url_any_query": "unsupported", "prefix": "supported",
                "tag": "supported", "key": "not_held", "everything": "supported", "soft": true,
                "batch_selectors_max": 100, "manner": "xkey",
            },
            "downgrades": [], "reported_at": "2026-11-21T10:00:00Z",
        });
        let cache: CacheSummary = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(cache).unwrap(), body);
    }
}
