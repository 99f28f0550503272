//! Replays: what the log holds is published again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Priority, Region, SiteName, Tag};

/// Body of `POST /v1/replays`, as written by the caller: nothing in it is checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// What was accepted then or later: a time, or `15m` for so long ago.
    pub since: String,
    /// What was accepted then or earlier; left out: until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// That names this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// That names a URL or a prefix below this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_prefix: Option<String>,
    /// That was for this region; it is published again for this one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// That was for this agent; it is published again for this one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// That was for caches of this name; it is published again for these only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// That an agent of this region owes and has neither purged, covered nor flushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_by: Option<String>,
    /// With `missed_by`: also what was settled later than this after it was accepted, such as `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_late: Option<String>,
    /// At most so many a second: 1 to 10,000; left out: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// What a replay is about, and for whom, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayFilter {
    /// What was accepted then or later.
    pub since: Timestamp,
    /// What was accepted then or earlier.
    pub until: Timestamp,
    /// Of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// That names this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// That names a URL or a prefix below this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_prefix: Option<String>,
    /// For this region only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// For this agent only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// For caches of this name only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheName>,
    /// Only what the region has missed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// What was settled later than so many milliseconds was missed, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
}

/// How many invalidations the log holds that fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayCounts {
    /// All of them.
    pub matched: u64,
    /// By site.
    pub sites: BTreeMap<String, u64>,
    /// How many selectors of each kind they name: `urls`, `prefixes`, `tags`, `keys`, `everything`.
    pub selectors: BTreeMap<String, u64>,
    /// By region they are published again for, as known now.
    pub regions: BTreeMap<String, u64>,
    /// What would fit, and is not published again.
    pub left_out: ReplayLeftOut,
}

/// What would fit, and is not published again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayLeftOut {
    /// Replays of what is in that time itself.
    pub replays: u64,
    /// Older than its `expires_in`.
    pub expired: u64,
    /// Not signed with a key that this publisher believes.
    pub unbelieved: u64,
    /// Settled, and nobody knows any more how late.
    pub lateness_unknown: u64,
}

/// Body of `POST /v1/replays?dry_run=true`: what would be published again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayDryRun {
    /// What it is about, as it was understood.
    pub filter: ReplayFilter,
    /// At most so many a second.
    pub rate: u32,
    /// How many there are.
    pub counts: ReplayCounts,
    /// Whether all of the log was read; otherwise there are at least as many.
    pub complete: bool,
    /// The log holds what it took since then.
    pub held_since: Option<Timestamp>,
    /// The first of them.
    pub sample: Vec<ReplaySample>,
}

/// An invalidation that would be published again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplaySample {
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// When it was accepted.
    pub published_at: Timestamp,
    /// `critical` or `normal`; the replay is normal.
    pub priority: Priority,
    /// The first of its selectors.
    pub selectors: Vec<String>,
    /// The regions that it would be for, as known now.
    pub regions: Vec<Region>,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It publishes.
    Running,
    /// All is published.
    Done,
    /// A human stopped it; it can be resumed.
    Cancelled,
    /// It could not go on; it can be resumed.
    Failed,
}

/// Body of `GET /v1/replays/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Its name.
    pub id: Uuid,
    /// How it stands.
    pub state: ReplayState,
    /// Whose token began it; empty where there are none.
    pub by: String,
    /// What it is about, as it was understood.
    pub filter: ReplayFilter,
    /// At most so many a second.
    pub rate: u32,
    /// What it has found so far.
    pub counts: ReplayCounts,
    /// How many of these it has published.
    pub published: u64,
    /// How many messages of the log it has read.
    pub read: u64,
    /// How many messages it has to read, as far as known.
    pub to_read: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it waits for.
    pub waits: Option<String>,
    /// Why it could not go on.
    pub error: Option<String>,
}

impl ReplayState {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_needs_no_more_than_since_and_takes_nothing_unknown() {
        let least: ReplayRequest = serde_json::from_value(json!({"since": "15m"})).unwrap();
        assert_eq!(least, ReplayRequest { since: "15m".into(), ..ReplayRequest::default() });
        assert_eq!(serde_json::to_value(&least).unwrap(), json!({"since": "15m"}));
        for wrong in [json!({}), json!({"since": "15m", "sight": "main"})] {
            assert!(serde_json::from_value::<ReplayRequest>(wrong).is_err());
        }
    }

    #[test]
    fn a_replay_comes_back_as_it_went() {
        let body = json!({
            "id": "01934d2e-5b00-7abc-8def-0123456789ab", "state": "running", "by": "ops",
            "filter": {
                "since": "2026-11-21T10:00:00Z", "until": "2026-11-21T11:00:00Z", "site": "main",
                "tag": "article-7", "url_prefix": "https://www.example.com/blog/",
                "region": "eu-west", "agent": "edge-1", "cache": "varnish", "missed": true,
                "late_ms": 60_000,
            },
            "rate": 200,
            "counts": {
                "matched": 7, "sites": {"main": 7}, "selectors": {"tags": 9},
                "regions": {"eu-west": 7},
                "left_out": {"replays": 1, "expired": 2, "unbelieved": 0, "lateness_unknown": 3},
            },
            "published": 6, "read": 70, "to_read": 100,
            "started_at": "2026-11-21T12:00:00Z", "ended_at": null, "waits": null, "error": null,
        });
        let replay: Replay = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(replay).unwrap(), body);
    }
}
