//! One row of the list of recent invalidations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Clock, InvalidationFacts, ProgressState};

/// One row of `GET /v1/invalidations`: an invalidation, and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidationSummary {
    /// What it is.
    #[serde(flatten)]
    pub facts: InvalidationFacts,
    /// How far it has come.
    pub state: ProgressState,
    /// Milliseconds from accepted to applied.
    pub applied_ms: Option<f64>,
    /// Milliseconds from accepted to final.
    pub final_ms: Option<f64>,
    /// Whose clock.
    pub clock: Clock,
    /// How many caches owe it and are not there.
    pub missing: usize,
    /// Why it was published, for humans.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_comes_back_as_it_went() {
        let body = json!({
            "id": "01934d2e-5b00-7abc-8def-0123456789ab", "site": "main",
            "published_at": "2026-11-21T10:00:00Z", "mode": "soft", "priority": "critical",
            "selectors": {"tags": 2}, "state": "blocked", "applied_ms": null, "final_ms": null,
            "clock": "two", "missing": 1, "reason": "editor published article 7",
        });
        let row: InvalidationSummary = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(row).unwrap(), body);
    }
}
