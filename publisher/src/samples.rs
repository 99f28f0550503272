//! What agents report in tests, one cache that can do everything, behind one lane of normal priority; what replays are
//! about; and an audit trail.

use std::path::Path;
use std::time::Duration;

use daemon::{Clock, Health};
use jiff::Timestamp;
use schemas::api::{Replay, ReplayCounts, ReplayFilter, ReplayState};
use schemas::{
    Abilities, Ability, CacheReport, CircuitState, DeadLetters, LaneReport, LineReport,
    OutcomeCounts, Priority, Report,
};
use uuid::Uuid;

use crate::audit::{AuditMetrics, AuditWriter, Keep, Trail, TrailSetup};
use crate::journal::JournalStore;

/// A lane in its first life, ready and without trouble.
pub(crate) fn lane_report(lines: Vec<LineReport>) -> LaneReport {
    LaneReport {
        priority: Priority::Normal,
        life: 1,
        ready: true,
        circuit: CircuitState::Closed,
        last_error: None,
        lag: 0,
        oldest_unsettled_us: None,
        outcomes: OutcomeCounts::default(),
        lines,
        obeyed: Vec::new(),
        dead_letters: DeadLetters::default(),
        paused: Vec::new(),
    }
}

/// An agent of that region which has not reported yet, in its first life.
pub(crate) fn report(agent: &str, region: &str, lane: LaneReport) -> Report {
    let cache = CacheReport {
        cache: "varnish".parse().unwrap(),
        driver: "varnish".to_owned(),
        sites: None,
        abilities: Some(all_supported()),
        lanes: vec![lane],
    };
    Report {
        agent: agent.parse().unwrap(),
        instance: Uuid::from_u128(1),
        sequence: 0,
        region: region.parse().unwrap(),
        at: Timestamp::UNIX_EPOCH,
        caches: vec![cache],
        clocks: Vec::new(),
    }
}

/// Everything can be purged.
pub(crate) fn all_supported() -> Abilities {
    Abilities { key: Ability::Supported, soft: true, ..Abilities::of_pages(100, "all") }
}

/// All of a time.
pub(crate) fn replay_filter(since: Timestamp, until: Timestamp) -> ReplayFilter {
    ReplayFilter {
        since,
        until,
        site: None,
        tag: None,
        url_prefix: None,
        region: None,
        agent: None,
        cache: None,
        missed: false,
        late_ms: None,
    }
}

/// A replay that has just begun.
pub(crate) fn replay(id: u128, filter: ReplayFilter) -> Replay {
    Replay {
        id: Uuid::from_u128(id),
        state: ReplayState::Running,
        by: String::new(),
        started_at: filter.until,
        filter,
        rate: 1,
        counts: ReplayCounts::default(),
        published: 0,
        read: 0,
        to_read: 0,
        ended_at: None,
        waits: None,
        error: None,
    }
}

/// An audit trail that begins in that folder, and who writes it.
pub(crate) async fn trail(folder: &Path, clock: Clock) -> (Trail, AuditWriter) {
    let setup = TrailSetup {
        folder: folder.to_owned(),
        publisher: "p1".parse().expect("a name"),
        keep: Keep { age: Duration::from_hours(24 * 180), bytes: 1 << 30 },
        store: JournalStore::in_memory().expect("a store in memory"),
        clock,
        metrics: AuditMetrics::default(),
        condition: Health::default().condition("audit"),
    };
    Trail::open(setup).await.expect("a trail")
}
