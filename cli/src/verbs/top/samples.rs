//! A bus of three regions, for the tests of tables and screen.

use jiff::Timestamp;
use schemas::api::DeadLetterSummary;
use schemas::{CircuitState, LetterState, Mode, Priority};
use uuid::Uuid;

use super::snapshot::{CacheRow, Change, RegionRow, Snapshot, Whole};

pub(super) fn snapshot() -> Snapshot {
    let at = "2026-11-21T10:00:00Z".parse().expect("a time");
    Snapshot {
        at: Some(at),
        age_seconds: Some(0.4),
        trouble: None,
        all: Whole {
            settled_per_second: Some(109.5),
            p50_ms: Some(3.2),
            p99_ms: Some(42.0),
            p99_history_ms: vec![10.0, 20.0, 42.0],
            lag_numbers: 17,
            open_circuits: 1,
            dead_letters: 1,
        },
        regions: vec![
            region("eu-west", Some(9.0), 1),
            region("us-east", Some(100.0), 0),
            region("ap-south", None, 0),
        ],
        caches: vec![
            cache("eu-west", "varnish", Priority::Critical, CircuitState::Closed),
            cache("eu-west", "varnish", Priority::Normal, CircuitState::Open),
            cache("us-east", "redis", Priority::Normal, CircuitState::Closed),
            cache("us-east", "varnish", Priority::Normal, CircuitState::Closed),
        ],
        dead_letters: vec![letter(at)],
        changes: vec![Change {
            at,
            what: "eu-west/edge-1/varnish normal opened its circuit".to_owned(),
            bad: true,
        }],
    }
}

fn region(name: &str, rate: Option<f64>, open: usize) -> RegionRow {
    RegionRow {
        region: name.parse().expect("a name"),
        lanes: 2,
        ready_lanes: 2 - open,
        applied_per_second: rate,
        p50_ms: rate.map(|_| 3.2),
        p99_ms: rate.map(|rate| 33.0 + rate),
        p99_history_ms: vec![10.0, 20.0, 42.0],
        lag_numbers: 17 * open as u64,
        lag_seconds: 1.2,
        open_circuits: open,
        dead_letters: open as u64,
    }
}

fn cache(region: &str, cache: &str, priority: Priority, circuit: CircuitState) -> CacheRow {
    let open = circuit == CircuitState::Open;
    CacheRow {
        region: region.parse().expect("a name"),
        agent: "edge-1".parse().expect("a name"),
        cache: cache.parse().expect("a name"),
        priority,
        ready: !open,
        settled_per_second: Some(27.4),
        lag_numbers: if open { 17 } else { 0 },
        lag_seconds: open.then_some(1.2),
        circuit,
        trouble: open.then(|| "cannot connect to 127.0.0.1:6081: connection refused".to_owned()),
    }
}

fn letter(at: Timestamp) -> DeadLetterSummary {
    DeadLetterSummary {
        id: Uuid::from_u128(7),
        region: "eu-west".parse().expect("a name"),
        agent: "edge-1".parse().expect("a name"),
        cache: "varnish".parse().expect("a name"),
        priority: Priority::Normal,
        site: "main".parse().expect("a name"),
        selector: "url https://www.example.com/stubborn".to_owned(),
        mode: Mode::Hard,
        reason: "405 Not here".to_owned(),
        first_seen: at,
        last_tried: at,
        tries: 2,
        state: LetterState::Refused,
        invalidations: 1,
        line: "1".repeat(32),
        number: 9,
        exchange: None,
    }
}
