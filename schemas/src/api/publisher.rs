//! Who speaks: one row per publisher.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PublisherName;

/// How a publisher stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PublisherState {
    /// Its heartbeats come.
    Live,
    /// They do not.
    Silent,
    /// A human said that it is gone for good: what is missing on its lines is lost.
    Retired,
}

impl PublisherState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Silent, Self::Retired];

    /// The word for it in JSON, metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Retired => "retired",
        }
    }
}

/// One row of `GET /v1/publishers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublisherSummary {
    /// Its name.
    pub publisher: PublisherName,
    /// Whether it is the one that answers.
    pub myself: bool,
    /// How it stands.
    pub state: PublisherState,
    /// Since when its present incarnation speaks, on its own clock; unknown where it has announced none.
    pub incarnation_since: Option<Timestamp>,
    /// When its latest heartbeat came, on the answering publisher's clock.
    pub heard_at: Option<Timestamp>,
    /// Age of that heartbeat in seconds.
    pub heard_age_seconds: Option<f64>,
    /// Its lines.
    pub lines: Vec<PublisherLine>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
    /// The publisher through which it was retired.
    pub retired_by: Option<PublisherName>,
}

/// One line of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublisherLine {
    /// The line.
    pub line: String,
    /// The highest number on it that anyone has shown.
    pub last: u64,
    /// Whether its present incarnation numbers it.
    pub open: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_publisher_comes_back_as_it_went() {
        let body = json!({
            "publisher": "cms-1", "myself": false, "state": "retired",
            "incarnation_since": "2026-11-21T10:00:00Z",
            "heard_at": "2026-11-21T10:00:00Z", "heard_age_seconds": 40.5,
            "lines": [{"line": "11111111111111111111111111111111", "last": 9, "open": true}],
            "retired_at": "2026-11-21T10:01:00Z", "retired_by": "cms-2",
        });
        let publisher: PublisherSummary = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(publisher).unwrap(), body);
    }

    #[test]
    fn the_words_of_states_are_those_of_the_json() {
        for state in PublisherState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), json!(state.as_str()));
        }
    }
}
