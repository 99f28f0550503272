//! How far an invalidation has come.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Mode, Outcome, Priority, Region, SiteName};

/// How far an invalidation, or one region of it, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressState {
    /// On its way.
    Published,
    /// Every cache that owes it has purged it.
    Applied,
    /// The last pass is done too: no stale refill survives.
    Final,
    /// Something that owes it cannot do it; `missing` says what.
    Blocked,
    /// Nobody is registered there.
    NoAgents,
}

/// Which clock measured a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The accepting publisher's own: an upper bound.
    One,
    /// Two machines'.
    Two,
}

/// What an invalidation is, in whatever tells how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidationFacts {
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// When it was accepted.
    pub published_at: Timestamp,
    /// `hard` or `soft`.
    pub mode: Mode,
    /// `critical` or `normal`.
    pub priority: Priority,
    /// How many selectors of each kind: `urls`, `prefixes`, `tags`, `keys`, `everything`.
    pub selectors: BTreeMap<String, usize>,
    /// Of a replay: the invalidation that it publishes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Uuid>,
}

/// Body of `GET /v1/invalidations/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What it is.
    #[serde(flatten)]
    pub facts: InvalidationFacts,
    /// How far it has come.
    pub state: ProgressState,
    /// When the last cache that owes it was known to have purged it.
    pub applied_at: Option<Timestamp>,
    /// Milliseconds from accepted to that.
    pub applied_ms: Option<f64>,
    /// When the last pass of the last cache was known to be done.
    pub final_at: Option<Timestamp>,
    /// Milliseconds from accepted to that.
    pub final_ms: Option<f64>,
    /// Whose clock.
    pub clock: Clock,
    /// With two clocks: all times may be too long by at most so many milliseconds, as far as the accepting publisher's
    /// heartbeats tell. If it is negative, they are too short, by at least as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_bound_ms: Option<f64>,
    /// Who owes it and why it is not there.
    pub missing: Vec<Missing>,
    /// Per region.
    pub regions: Vec<RegionProgress>,
    /// The latest by which this publisher has published it again, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<Uuid>,
}

/// A cache that owes an invalidation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which cache.
    pub cache: CacheName,
    /// Why.
    pub reason: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

/// Progress in one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionProgress {
    /// Where.
    pub region: Region,
    /// How far.
    pub state: ProgressState,
    /// Milliseconds from accepted to applied by the region's last cache.
    pub applied_ms: Option<f64>,
    /// Per cache.
    pub caches: Vec<CacheProgress>,
}

/// Progress of one cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheProgress {
    /// Whose.
    pub agent: AgentName,
    /// Which cache.
    pub cache: CacheName,
    /// How it ended, once it did.
    pub outcome: Option<Outcome>,
    /// Milliseconds from accepted to the report of it.
    pub settled_ms: Option<f64>,
    /// Milliseconds from accepted to the report of its last pass.
    pub final_ms: Option<f64>,
    /// What is wrong.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_progress_of_the_contract_comes_back_as_it_went() {
        let body = json!({
            "id": "01934d2e-5b00-7abc-8def-0123456789ab", "site": "main",
            "published_at": "2026-11-21T10:00:00Z", "mode": "hard", "priority": "normal",
            "selectors": {"urls": 1, "tags": 1},
            "state": "applied",
            "applied_at": "2026-11-21T10:00:00.0124Z", "applied_ms": 12.4,
            "final_at": "2026-11-21T10:01:05.011Z", "final_ms": 65011.0, "clock": "one",
            "missing": [
                {"region": "ap-south", "agent": "edge-9", "cache": "varnish",
                 "reason": "agent gone", "since": "2026-11-21T09:00:00Z"},
            ],
            "regions": [
                {"region": "eu-west", "state": "applied", "applied_ms": 12.4, "caches": [
                    {"agent": "edge-1", "cache": "varnish", "outcome": "purged",
                     "settled_ms": 11.9, "final_ms": null, "error": null},
                ]},
            ],
        });
        let progress: Progress = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(progress).unwrap(), body);
        let mut elsewhere = body;
        elsewhere["clock"] = json!("two");
        elsewhere["clock_bound_ms"] = json!(-2.5);
        let progress: Progress = serde_json::from_value(elsewhere.clone()).unwrap();
        assert_eq!(serde_json::to_value(progress).unwrap(), elsewhere);
    }

    #[test]
    fn states_and_clocks_have_the_words_of_the_contract() {
        use ProgressState::{Applied, Blocked, Final, NoAgents, Published};
        let states = serde_json::to_value([Published, Applied, Final, Blocked, NoAgents]).unwrap();
        assert_eq!(states, json!(["published", "applied", "final", "blocked", "no_agents"]));
        let clocks = serde_json::to_value([Clock::One, Clock::Two]).unwrap();
        assert_eq!(clocks, json!(["one", "two"]));
    }
}
