//! Bodies of the HTTP API, shared by publisher and command line. The contract with users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Abilities, AgentName, CacheName, CircuitState, Gate, Mode, Outcome, Priority, Region, SiteName,
};

/// Most bytes in a request body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most selectors in a request.
pub const SELECTORS_MAX: usize = 1_000;
/// Most tags in a request.
pub const TAGS_MAX: usize = 64;

/// Body of `POST /v1/invalidations`, as written by the caller: nothing in it is checked yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InvalidationRequest {
    /// Whose content; may be left out when the URLs' hosts or the token name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Exact addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UrlRequest>,
    /// Path prefixes of whole segments, as URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Cache groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Raw keys of data caches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The whole site; needs `confirm`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
    /// The site's name again, as consent to `everything`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// `hard` (default) or `soft`.
    pub mode: Mode,
    /// `normal` (default) or `critical`.
    pub priority: Priority,
    /// Left out: all regions of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// A database position that replicas must have reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Gate>,
    /// A duration such as `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// For humans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For humans' tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A URL to purge: the text alone, or with how its query counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UrlRequest {
    /// The exact URL.
    Exact(String),
    /// The URL with options.
    With(UrlWithQuery),
}

/// A URL with how its query counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlWithQuery {
    /// The URL.
    pub url: String,
    /// `any` or `exact`.
    pub query: QueryRequest,
}

/// How a URL's query counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryRequest {
    /// Any query, and none.
    Any,
    /// The one written.
    Exact,
}

/// Where an accepted invalidation is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durable {
    /// It survives the loss of the publisher's disk or of the broker.
    Broker,
    /// It survives anything but the loss of that publisher's disk.
    Journal,
}

/// Body of `202 Accepted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// How far an invalidation, or one region of it, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The accepting publisher's own: an upper bound.
    One,
    /// Two machines'.
    Two,
}

/// Body of `GET /v1/invalidations/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
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
    /// Who owes it and why it is not there.
    pub missing: Vec<Missing>,
    /// Per region.
    pub regions: Vec<RegionProgress>,
}

/// A cache that owes an invalidation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// This page.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Latency in milliseconds over one window, from merged histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// When its agent last reported.
    pub reported_at: Timestamp,
}

/// Progress of a lane on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Body of `POST /v1/invalidations?dry_run=true`: what would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// An RFC 9457 error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI that names the kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This error in words, with the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every mistake of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
}

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// A JSON pointer to it.
    pub pointer: String,
    /// What is wrong, the limit, and the fix.
    pub detail: String,
}
