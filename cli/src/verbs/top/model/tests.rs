use std::collections::BTreeMap;

use schemas::Outcome;
use schemas::api::{LatencyReport, LatencyWindow, LatencyWindows};

use super::*;

fn latency(count: u64, p99_ms: f64) -> Latency {
    Latency { count, p50_ms: p99_ms / 2.0, p99_ms, ..Latency::default() }
}

fn region(name: &str, applied: u64, p99_ms: f64) -> RegionSummary {
    RegionSummary {
        region: name.parse().unwrap(),
        agents: 1,
        caches: 1,
        ready: true,
        lag_numbers: 3,
        lag_seconds: 1.5,
        applied: LatencyWindows {
            one_minute: latency(applied.min(9), p99_ms),
            since_start: latency(applied, p99_ms),
            ..LatencyWindows::default()
        },
    }
}

fn lane(region: &str, cache: &str, settled: u64, circuit: CircuitState) -> CacheSummary {
    CacheSummary {
        agent: "edge-1".parse().unwrap(),
        region: region.parse().unwrap(),
        cache: cache.parse().unwrap(),
        priority: Priority::Normal,
        driver: "varnish".to_owned(),
        floors: Vec::new(),
        ready: circuit == CircuitState::Closed,
        lag_numbers: 3,
        oldest_unsettled_seconds: Some(1.5),
        circuit,
        last_error: (circuit == CircuitState::Open).then(|| "connection refused".to_owned()),
        outcomes: BTreeMap::from([(Outcome::Purged, settled), (Outcome::Covered, 1)]),
        abilities: None,
        downgrades: Vec::new(),
        paused: Vec::new(),
        reported_at: Timestamp::UNIX_EPOCH,
    }
}

fn answers(regions: Vec<RegionSummary>, caches: Vec<CacheSummary>, untold: u64) -> Answers {
    Answers {
        latency: LatencyReport {
            region: None,
            window: LatencyWindow::OneMinute,
            applied: latency(9, 20.0),
            histogram: String::new(),
        },
        letters: DeadLetterPage { items: Vec::new(), next_cursor: None, untold },
        regions,
        caches,
    }
}

const CLOSED: CircuitState = CircuitState::Closed;
const OPEN: CircuitState = CircuitState::Open;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn rates_and_histories_are_kept_by_name_whatever_comes_and_goes() {
    let mut model = Model::default();
    let at = Timestamp::UNIX_EPOCH;
    let both = |eu, us| vec![region("eu", eu, 20.0), region("us", us, 40.0)];
    let lanes = |eu, us| vec![lane("eu", "a", eu, CLOSED), lane("us", "b", us, CLOSED)];
    model.take(answers(both(10, 100), lanes(10, 100), 0), at, seconds(0));
    let first = model.snapshot(seconds(0));
    assert_eq!((first.all.settled_per_second, first.regions[0].applied_per_second), (None, None));

    model.take(answers(both(14, 100), lanes(16, 104), 0), at, seconds(2));
    let mut swapped = both(18, 110);
    swapped.reverse();
    model.take(answers(swapped, lanes(22, 104), 0), at, seconds(4));
    let last = model.snapshot(seconds(4));
    let rates: Vec<_> =
        last.regions.iter().map(|row| (row.region.as_str(), row.applied_per_second)).collect();
    assert_eq!(rates, [("us", Some(2.5)), ("eu", Some(2.0))]);
    let settled: Vec<_> = last.caches.iter().map(|row| row.settled_per_second).collect();
    assert_eq!(settled, [Some(3.0), Some(1.0)]);
    assert_eq!(last.all.settled_per_second, Some(4.0));
    assert_eq!(last.regions[1].p99_history_ms, [20.0; 3]);
    assert_eq!((last.all.p50_ms, last.all.p99_ms), (Some(10.0), Some(20.0)));
}

#[test]
fn a_region_counts_its_own_lanes_and_has_no_latency_where_nothing_was_applied() {
    let mut model = Model::default();
    let caches =
        vec![lane("eu", "a", 1, CLOSED), lane("eu", "b", 1, OPEN), lane("us", "c", 1, OPEN)];
    model.take(answers(vec![region("eu", 0, 20.0)], caches, 7), Timestamp::UNIX_EPOCH, seconds(0));
    let all = model.snapshot(seconds(0));
    let eu = &all.regions[0];
    assert_eq!((eu.lanes, eu.ready_lanes, eu.open_circuits), (2, 1, 1));
    assert_eq!((eu.p50_ms, eu.p99_ms), (None, None));
    assert_eq!((all.all.open_circuits, all.all.dead_letters, all.all.lag_numbers), (2, 7, 3));
}

#[test]
fn what_changed_is_told_once_the_newest_first() {
    let mut model = Model::default();
    let mut round = |caches, untold, second| {
        model.take(answers(Vec::new(), caches, untold), Timestamp::UNIX_EPOCH, seconds(second));
        let changes = model.snapshot(seconds(second)).changes;
        changes.into_iter().map(|change| (change.what, change.bad)).collect::<Vec<_>>()
    };
    assert_eq!(round(vec![lane("eu", "a", 1, CLOSED)], 0, 0), [], "all is new at first");
    let opened = ("eu/edge-1/a normal opened its circuit: connection refused".to_owned(), true);
    assert_eq!(round(vec![lane("eu", "a", 1, OPEN)], 0, 1), std::slice::from_ref(&opened));
    assert_eq!(round(vec![lane("eu", "a", 1, OPEN)], 0, 2), std::slice::from_ref(&opened));
    let told = round(vec![lane("eu", "b", 1, CLOSED)], 2, 3);
    let whats: Vec<_> = told.iter().map(|(what, _)| what.as_str()).collect();
    let expected = [
        "2 more dead letters",
        "eu/edge-1/a normal is gone",
        "eu/edge-1/b normal is new",
        opened.0.as_str(),
    ];
    assert_eq!(whats, expected);
}

#[test]
fn while_nobody_answers_the_last_state_grows_old_and_the_reason_is_told() {
    let mut model = Model::default();
    model.miss("no answer".to_owned());
    let before = model.snapshot(seconds(3));
    assert_eq!((before.age_seconds, before.trouble.as_deref()), (None, Some("no answer")));
    model.take(
        answers(vec![region("eu", 1, 20.0)], Vec::new(), 0),
        Timestamp::UNIX_EPOCH,
        seconds(4),
    );
    assert_eq!(model.snapshot(seconds(4)).trouble, None);
    model.miss("no answer".to_owned());
    let later = model.snapshot(seconds(9));
    assert_eq!((later.age_seconds, later.regions.len()), (Some(5.0), 1));
    assert_eq!(later.trouble.as_deref(), Some("no answer"));
}
