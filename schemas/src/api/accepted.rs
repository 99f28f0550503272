//! What a publisher answers to a wish: accepted, or what would be done.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Region, SiteName};

/// Where an accepted invalidation is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durable {
    /// It survives the loss of the publisher's disk or of the broker.
    Broker,
    /// It survives anything but the loss of that publisher's disk.
    Journal,
}

/// Body of `202 Accepted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Its name for ever.
    pub id: Uuid,
    /// Where it is safe.
    pub durable: Durable,
    /// Whose content.
    pub site: SiteName,
    /// How many selectors.
    pub selectors: usize,
    /// The regions it is for, as known now.
    pub regions: Vec<Region>,
    /// When it was accepted.
    pub published_at: Timestamp,
    /// Where its progress stands.
    pub status_url: String,
}

/// Body of `POST /v1/invalidations?dry_run=true`: what would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    /// Whose content.
    pub site: SiteName,
    /// The canonical form of every selector.
    pub selectors: Vec<String>,
    /// The regions it would be for, as known now.
    pub regions: Vec<Region>,
    /// What each cache would do.
    pub caches: Vec<DryRunCache>,
}

/// What one cache would do with an invalidation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunCache {
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which cache.
    pub cache: CacheName,
    /// Per selector, in their order: `purge`, `unsupported`, `not_ours`.
    pub selectors: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_acceptance_of_the_contract_comes_back_as_it_went() {
        for durable in ["broker", "journal"] {
            let body = json!({
                "id": "01934d2e-5b00-7abc-8def-0123456789ab", "durable": durable, "site": "main",
                "selectors": 4, "regions": ["eu-west", "us-east"],
                "published_at": "2026-11-21T10:00:00.12Z",
                "status_url": "/v1/invalidations/01934d2e-5b00-7abc-8def-0123456789ab",
            });
            let accepted: Accepted = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(serde_json::to_value(accepted).unwrap(), body);
        }
    }

    #[test]
    fn a_dry_run_comes_back_as_it_went() {
        let body = json!({
            "site": "main", "selectors": ["tag article-7"], "regions": ["eu-west"],
            "caches": [
                {"region": "eu-west", "agent": "edge-1", "cache": "varnish", "selectors": ["purge"]},
            ],
        });
        let dry_run: DryRun = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(dry_run).unwrap(), body);
    }
}
