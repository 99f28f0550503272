//! The stop buttons: pauses, and cancels.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, PublisherName, Region, SiteName};

use super::{AgentState, Progress};

/// Body of `POST /v1/pauses`, as written by the caller: one of `site`, `agent`, `cache` and `token`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// No cache is purged of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// No cache of this agent is purged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// No cache of this name is purged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// With `cache`: only of agents there; left out: everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Nothing is taken from the bearer of the token of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Until when, such as `2026-11-21T10:15:00Z`, or for how long, such as `15m`; at most, and if left out, an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why, for humans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One row of `GET /v1/pauses`: a pause in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseSummary {
    /// Its name.
    pub id: Uuid,
    /// What is paused: this site,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// or this agent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// or caches of this name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheName>,
    /// of agents there,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// or the token of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who says so.
    pub by: String,
    /// The publisher through which it was ordered.
    pub publisher: PublisherName,
    /// Since when.
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Timestamp,
    /// The caches that it holds up.
    pub caches: Vec<PausedCache>,
}

/// A cache that a pause holds up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PausedCache {
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which.
    pub cache: CacheName,
    /// How its agent stands.
    pub state: AgentState,
    /// Whether its agent has said that it obeys.
    pub obeys: bool,
}

/// A pause that a lane obeys, in `GET /v1/caches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CachePause {
    /// The pause's name.
    pub id: Uuid,
    /// What of it waits; null: all purges.
    pub site: Option<SiteName>,
    /// It ends by itself then.
    pub until: Timestamp,
}

/// Answer to `POST /v1/invalidations/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// Whether it is ordered; false: every cache that owes it has settled it, there is nothing left to cancel.
    pub ordered: bool,
    /// An agent that is away until then purges it after all.
    pub expires_at: Option<Timestamp>,
    /// How far it has come when that was asked.
    pub progress: Progress,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pause_comes_back_as_it_went() {
        let body = json!({
            "id": "01934d2e-5b00-7abc-8def-0123456789ab", "cache": "varnish", "region": "eu-west",
            "reason": null, "by": "ops", "publisher": "publisher-1",
            "since": "2026-11-21T10:00:00Z", "until": "2026-11-21T10:15:00Z",
            "caches": [{"region": "eu-west", "agent": "edge-1", "cache": "varnish",
                        "state": "live", "obeys": true}],
        });
        let pause: PauseSummary = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(pause).unwrap(), body);
    }
}
