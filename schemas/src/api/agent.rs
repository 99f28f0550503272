//! Who is registered: one row per agent.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, PublisherName, Region};

/// How an agent stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Registered; none of its caches has caught up yet.
    Announced,
    /// It reports.
    Live,
    /// It reports again after it was retired, within the last day.
    Returned,
    /// Two live instances report under its name: nothing that either says counts.
    Doubled,
    /// It has fallen silent. It still owes.
    Gone,
    /// A human said that it is gone for good: it owes nothing until it reports again.
    Retired,
}

impl AgentState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Announced, Self::Live, Self::Returned, Self::Doubled, Self::Gone, Self::Retired];

    /// The word for it in JSON, metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Live => "live",
            Self::Returned => "returned",
            Self::Doubled => "doubled",
            Self::Gone => "gone",
            Self::Retired => "retired",
        }
    }
}

/// One row of `GET /v1/agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSummary {
    /// Its name.
    pub agent: AgentName,
    /// Where it serves; unknown of one that is retired.
    pub region: Option<Region>,
    /// How it stands.
    pub state: AgentState,
    /// Since when it is gone, retired or returned.
    pub since: Option<Timestamp>,
    /// Who speaks under its name, the latest first.
    pub instances: Vec<AgentInstance>,
    /// Its caches.
    pub caches: Vec<AgentCache>,
    /// When its latest report came, on this publisher's clock.
    pub reported_at: Option<Timestamp>,
    /// Age of that report in seconds.
    pub report_age_seconds: Option<f64>,
    /// How its clock stands to this publisher's, where that is known.
    pub clock: Option<ClockOffset>,
    /// The publisher through which it was retired.
    pub retired_by: Option<PublisherName>,
}

/// One who speaks under an agent's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInstance {
    /// Random; kept in the agent's state folder.
    pub instance: Uuid,
    /// When it was last heard; unknown of one that is retired.
    pub reported_at: Option<Timestamp>,
}

/// One cache of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentCache {
    /// The cache.
    pub cache: CacheName,
    /// Its kind.
    pub driver: String,
    /// Whether all its lanes have caught up since they started.
    pub ready: bool,
}

/// The agent's clock less the publisher's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockOffset {
    /// By how much the agent's is ahead, in seconds.
    pub offset_seconds: f64,
    /// How far that may be off in either direction.
    pub bound_seconds: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_agent_comes_back_as_it_went() {
        let body = json!({
            "agent": "edge-1", "region": "eu-west", "state": "gone", "since": "2026-11-21T10:00:00Z",
            "instances": [{"instance": "01934d2e-5b00-7abc-8def-0123456789ab",
                           "reported_at": "2026-11-21T10:00:00Z"}],
            "caches": [{"cache": "varnish", "driver": "varnish", "ready": true}],
            "reported_at": "2026-11-21T10:00:00Z", "report_age_seconds": 40.5,
            "clock": {"offset_seconds": -0.002, "bound_seconds": 0.001}, "retired_by": null,
        });
        let agent: AgentSummary = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(agent).unwrap(), body);
    }

    #[test]
    fn the_words_of_states_are_those_of_the_json() {
        for state in AgentState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), json!(state.as_str()));
        }
    }
}
