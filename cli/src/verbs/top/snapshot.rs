//! How the bus stands at one moment, in rows: what the screen shows, and what scripts get as JSON.

use std::time::Duration;

use jiff::Timestamp;
use schemas::api::DeadLetterSummary;
use schemas::{AgentName, CacheName, CircuitState, Priority, Region};
use serde::Serialize;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Snapshot {
    /// When the publisher answered last.
    pub(super) at: Option<Timestamp>,
    /// How old that is.
    pub(super) age_seconds: Option<f64>,
    /// Why it does not answer now.
    pub(super) trouble: Option<String>,
    pub(super) all: Whole,
    pub(super) regions: Vec<RegionRow>,
    pub(super) caches: Vec<CacheRow>,
    /// The newest of them.
    pub(super) dead_letters: Vec<DeadLetterSummary>,
    /// What changed since the first answer, the newest first.
    pub(super) changes: Vec<Change>,
}

impl Snapshot {
    /// The same, so much later.
    pub(super) fn aged(&self, by: Duration) -> Self {
        let age_seconds = self.age_seconds.map(|age| age + by.as_secs_f64());
        Self { age_seconds, ..self.clone() }
    }
}

/// The bus in one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Whole {
    /// By all lanes together.
    pub(super) settled_per_second: Option<f64>,
    /// Of the last minute; none where nothing was applied.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Of each round of questions, the latest last.
    pub(super) p99_history_ms: Vec<f64>,
    /// Of the lane that is farthest behind.
    pub(super) lag_numbers: u64,
    pub(super) open_circuits: usize,
    pub(super) dead_letters: u64,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RegionRow {
    pub(super) region: Region,
    pub(super) lanes: usize,
    pub(super) ready_lanes: usize,
    pub(super) applied_per_second: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) p99_history_ms: Vec<f64>,
    pub(super) lag_numbers: u64,
    pub(super) lag_seconds: f64,
    pub(super) open_circuits: usize,
    pub(super) dead_letters: u64,
}

/// A lane of a cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CacheRow {
    pub(super) region: Region,
    pub(super) agent: AgentName,
    pub(super) cache: CacheName,
    pub(super) priority: Priority,
    pub(super) ready: bool,
    pub(super) settled_per_second: Option<f64>,
    pub(super) lag_numbers: u64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) circuit: CircuitState,
    pub(super) trouble: Option<String>,
}

/// Something that is another way than at the answer before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    pub(super) what: String,
    /// Whether somebody may have to act.
    pub(super) bad: bool,
}

impl CacheRow {
    /// How people call it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{} {}", self.region, self.agent, self.cache, self.priority)
    }
}
