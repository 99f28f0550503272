//! Why someone is missing, since when, and when that blocks.

use super::*;

#[test]
fn an_agent_that_is_silent_is_gone_and_after_ten_minutes_it_blocks() {
    let mut bus = Bus::with_accepted(2);
    bus.pass(500);
    bus.hear(Agent::new("one", "eu").floors(1, 1));
    bus.pass(15_000);
    assert_eq!(bus.reason(2), "not purged yet");
    bus.pass(1);
    let missing = bus.progress(2).missing;
    assert_eq!((missing[0].reason.as_str(), missing[0].since), ("agent gone", Some(at(500))));
    assert_eq!(bus.state(2), ProgressState::Published);
    bus.pass(9 * 60_000 + 45_000);
    assert_eq!((bus.state(2), bus.reason(2).as_str()), (ProgressState::Blocked, "agent gone"));
    assert_eq!(bus.state(1), ProgressState::Final, "what it has done stays done");
}

#[test]
fn two_instances_under_one_name_count_for_nothing_until_one_is_alone() {
    let mut bus = Bus::with_accepted(1);
    let mut one = Agent::new("one", "eu");
    let mut other = one.clone();
    other.report.instance = Uuid::from_u128(2);
    bus.hear(one.floors(1, 1));
    bus.pass(1_000);
    bus.hear(other.floors(1, 1));
    let reason = "two agents under one name";
    assert_eq!((bus.state(1), bus.reason(1).as_str()), (ProgressState::Published, reason));
    let row = &bus.tracker.caches(at(bus.now))[0];
    assert_eq!((row.last_error.as_deref(), row.ready), (Some(reason), false));
    bus.pass(15_000);
    bus.hear(&mut other);
    assert_eq!(bus.state(1), ProgressState::Final);
}

#[test]
fn a_cache_that_its_agent_leaves_out_stays_registered_and_blocks() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    agent.report.caches.clear();
    bus.pass(1_000);
    bus.hear(&mut agent);
    assert_eq!(bus.reason(1), "its agent no longer reports this cache");
    bus.pass(600_000);
    bus.hear(&mut agent);
    assert_eq!(
        (bus.state(1), bus.progress(1).missing[0].since),
        (ProgressState::Blocked, Some(at(0)))
    );
}

#[test]
fn a_cache_whose_abilities_nobody_knows_has_settled_nothing() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    agent.cache().abilities = None;
    agent.lane().last_error = Some("connection refused".to_owned());
    bus.hear(agent.floors(1, 1));
    assert_eq!(bus.state(1), ProgressState::Published);
    assert_eq!(bus.reason(1), "the cache has not answered yet: connection refused");
    agent.abilities();
    bus.hear(&mut agent);
    agent.cache().abilities = None;
    bus.hear(&mut agent);
    assert_eq!(bus.state(1), ProgressState::Final, "what it could do it still can");
}

#[test]
fn a_hole_and_an_open_circuit_are_named() {
    let mut bus = Bus::with_accepted(2);
    let mut agent = Agent::new("one", "eu");
    agent.line().holes = vec![range(1, 1)];
    agent.lane().circuit = CircuitState::Open;
    agent.lane().last_error = Some("connection refused".to_owned());
    bus.hear(&mut agent);
    assert_eq!(bus.reason(1), "it has not arrived: a hole in the log");
    assert_eq!(bus.reason(2), "circuit open: connection refused");
    agent.lane().circuit = CircuitState::Closed;
    bus.hear(&mut agent);
    assert_eq!(bus.reason(2), "not purged yet: connection refused");
    agent.lane().last_error = None;
    bus.hear(&mut agent);
    let progress = bus.progress(2);
    assert_eq!(progress.missing[0].reason, "not purged yet");
    assert_eq!(progress.regions[0].caches[0].error, None, "only a matter of time");
}

#[test]
fn silence_while_nobody_listened_is_no_absence() {
    let mut bus = Bus::with_accepted(1);
    bus.hear(&mut Agent::new("one", "eu"));
    bus.now = 3_600_000;
    bus.tracker.listening_since = at(bus.now);
    assert_eq!(bus.reason(1), "not purged yet");
    bus.pass(15_001);
    assert_eq!(bus.reason(1), "agent gone");
}
