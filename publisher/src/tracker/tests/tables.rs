//! Rows of regions and caches, dry runs, latencies and metrics.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use schemas::Outcome;

use super::*;

#[test]
fn a_region_is_as_slow_as_its_slowest_cache() {
    let mut bus = Bus::with_accepted(10);
    let (mut one, mut other) = (Agent::new("one", "eu"), Agent::new("other", "eu"));
    other.line().applied_above = vec![range(6, 7)];
    bus.hear(one.floors(10, 0));
    bus.hear(other.floors(4, 0));
    bus.pass(2_000);
    let rows = bus.tracker.regions(at(bus.now));
    assert_eq!((rows.len(), rows[0].agents, rows[0].caches, rows[0].ready), (1, 2, 2, true));
    assert_eq!((rows[0].lag_numbers, rows[0].lag_seconds), (4, 2.0));
}

#[test]
fn a_region_that_a_site_names_is_shown_without_agents() {
    let row = &Bus::new().tracker.regions(at(0))[0];
    assert_eq!((row.region.as_str(), row.agents, row.ready), ("eu", 0, false));
}

#[test]
fn a_region_that_no_site_names_is_known_by_its_agents() {
    let mut bus = Bus::new();
    let known = |bus: &mut Bus| -> Vec<String> {
        bus.tracker.known_regions().iter().map(ToString::to_string).collect()
    };
    assert_eq!(known(&mut bus), ["eu"]);
    let mut agent = Agent::new("one", "ap");
    bus.hear(&mut agent);
    assert_eq!(known(&mut bus), ["ap", "eu"]);
    agent.report.region = "us".parse().unwrap();
    agent.report.caches.clear();
    bus.hear(&mut agent);
    assert_eq!(known(&mut bus), ["eu", "us"]);
    let mut bare = Agent::new("two", "sa");
    bare.report.caches.clear();
    bus.hear(&mut bare);
    assert_eq!(known(&mut bus), ["eu", "sa", "us"]);
}

#[test]
fn the_lag_of_a_dead_agent_grows() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.lane().lag = 3;
    agent.lane().oldest_unsettled_us = Some(500_000);
    bus.hear(&mut agent);
    bus.pass(1_500);
    let row = &bus.tracker.caches(at(bus.now))[0];
    assert_eq!((row.lag_numbers, row.oldest_unsettled_seconds), (3, Some(2.0)));
    for number in 1..=7 {
        bus.tracker.accepted(place(number), &invalidation());
    }
    bus.pass(20_000);
    let row = &bus.tracker.caches(at(bus.now))[0];
    assert_eq!((row.lag_numbers, row.ready, row.reported_at), (7, false, at(0)));
    assert_eq!(row.last_error.as_deref(), Some("agent gone"));
}

#[test]
fn a_cache_that_has_caught_up_has_no_oldest_number() {
    let mut bus = Bus::with_accepted(1);
    bus.hear(Agent::new("one", "eu").floors(1, 0));
    bus.pass(5_000);
    let row = &bus.tracker.caches(at(bus.now))[0];
    assert_eq!((row.lag_numbers, row.oldest_unsettled_seconds), (0, None));
}

#[test]
fn a_row_shows_floors_outcomes_and_downgrades() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.abilities().soft = false;
    agent.lane().outcomes = OutcomeCounts::from_array([0, 1, 0, 0, 0, 0, 0, 0, 0]);
    agent.floors(9, 8).line().base = 2;
    bus.hear(&mut agent);
    let row = &bus.tracker.caches(at(0))[0];
    let floor = &row.floors[0];
    assert_eq!((floor.base, floor.applied, floor.finished), (2, 9, 8));
    assert_eq!(row.outcomes, BTreeMap::from([(Outcome::Purged, 1)]));
    assert_eq!(row.downgrades, ["soft is done hard"]);
    agent.abilities().soft = true;
    bus.hear(&mut agent);
    assert!(bus.tracker.caches(at(0))[0].downgrades.is_empty());
}

#[test]
fn a_dry_run_says_what_each_cache_would_do_with_each_selector() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.abilities().key = Ability::NotHeld;
    agent.abilities().everything = Ability::Unsupported;
    bus.hear(&mut agent);
    bus.hear(&mut Agent::new("away", "us"));
    let selectors = vec![tag(), key(), Selector::Everything];
    let here = Invalidation { selectors, audience: regions(&["eu"]), ..invalidation() };
    let rows = bus.tracker.dry_run(&here);
    assert_eq!((rows.len(), rows[0].agent.as_str()), (1, "one"));
    assert_eq!(rows[0].selectors, ["purge", "not_ours", "unsupported"]);
    agent.cache().sites = Some(BTreeSet::from(["local".parse().unwrap()]));
    bus.hear(&mut agent);
    assert_eq!(bus.tracker.dry_run(&here)[0].selectors, ["not_ours"; 3]);
}

#[test]
fn latency_is_taken_once_per_number_when_the_last_lane_of_the_region_has_it() {
    let mut bus = Bus::with_accepted(2);
    let (mut one, mut other) = (Agent::new("one", "eu"), Agent::new("other", "eu"));
    let mut data = Agent::new("data", "eu");
    data.abilities().tag = Ability::NotHeld;
    bus.hear(&mut data);
    bus.hear(&mut other);
    bus.hear(one.floors(1, 0));
    bus.pass(100);
    other.line().applied_above = vec![range(2, 2)];
    bus.hear(&mut other);
    bus.hear(other.floors(2, 0));
    bus.pass(100);
    bus.hear(one.floors(2, 0));
    one.lane().life = 2;
    bus.hear(one.floors(0, 0));
    bus.pass(100);
    bus.hear(one.floors(2, 2));
    let applied = bus.tracker.regions(at(bus.now))[0].applied;
    assert_eq!((applied.one_minute.count, applied.since_start.count), (2, 2));
    assert!((applied.one_minute.p50_ms - 100.0).abs() < 1.0, "{applied:?}");
    assert!((applied.one_minute.max_ms - 200.0).abs() < 2.0, "{applied:?}");
}

#[test]
fn what_is_blocked_is_not_measured() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    agent.abilities().tag = Ability::Unsupported;
    bus.hear(agent.floors(1, 1));
    assert_eq!(bus.tracker.regions(at(0))[0].applied.since_start.count, 0);
}

#[test]
fn metrics_count_each_region_once_and_show_holes() {
    let mut bus = Bus::with_accepted(3);
    let mut agent = Agent::new("one", "eu");
    agent.floors(1, 1).line().holes = vec![range(2, 3)];
    bus.pass(1_500);
    bus.hear(&mut agent);
    bus.tracker.show_holes();
    let mut registry = Registry::default();
    bus.tracker.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "purgebus_applied_seconds_count{region=\"eu\"} 1",
        "purgebus_applied_seconds_sum{region=\"eu\"} 1.5",
        "purgebus_final_seconds_count{region=\"eu\"} 1",
        "purgebus_holes 2",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}
