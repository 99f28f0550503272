//! Applied, final, blocked, published, `no_agents`: per region and overall.

use schemas::Outcome;
use schemas::api::Clock;

use super::*;

#[test]
fn a_number_is_applied_when_the_last_lane_that_owes_it_has_purged_it() {
    let mut bus = Bus::with_accepted(2);
    let (mut one, mut other) = (Agent::new("one", "eu"), Agent::new("other", "us"));
    bus.pass(10);
    bus.hear(one.floors(1, 0));
    bus.hear(&mut other);
    assert_eq!(bus.state(1), ProgressState::Published);
    bus.pass(5);
    bus.hear(other.floors(1, 0));
    let progress = bus.progress(1);
    assert_eq!(progress.state, ProgressState::Applied);
    assert_eq!((progress.applied_at, progress.applied_ms), (Some(at(15)), Some(15.0)));
    assert_eq!(in_region(&progress, "eu").applied_ms, Some(10.0));
    assert_eq!((progress.final_at, progress.clock), (None, Clock::One));
    assert!(progress.missing.is_empty());
    assert_eq!(bus.state(2), ProgressState::Published);
}

#[test]
fn a_number_is_final_when_the_last_lane_has_done_its_last_pass() {
    let mut bus = Bus::with_accepted(1);
    let (mut one, mut other) = (Agent::new("one", "eu"), Agent::new("other", "eu"));
    bus.hear(one.floors(1, 1));
    bus.hear(other.floors(1, 0));
    assert_eq!(bus.state(1), ProgressState::Applied);
    bus.pass(65_000);
    bus.hear(&mut one);
    bus.hear(other.floors(1, 1));
    let progress = bus.progress(1);
    assert_eq!((progress.state, progress.final_ms), (ProgressState::Final, Some(65_000.0)));
    assert_eq!(
        (progress.applied_ms, progress.regions[0].caches[0].final_ms),
        (Some(0.0), Some(0.0))
    );
}

#[test]
fn a_region_without_agents_is_never_applied() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    let named = Invalidation { audience: regions(&["eu", "mars"]), ..invalidation() };
    assert_eq!(bus.progress_of(1, &named).state, ProgressState::NoAgents);
    bus.hear(agent.floors(1, 1));
    let progress = bus.progress_of(1, &named);
    assert_eq!(in_region(&progress, "mars").state, ProgressState::NoAgents);
    assert_eq!(
        (in_region(&progress, "eu").state, progress.state),
        (ProgressState::Final, ProgressState::Final)
    );
    let nowhere = Invalidation { audience: regions(&["mars"]), ..invalidation() };
    assert_eq!(bus.progress_of(1, &nowhere).state, ProgressState::NoAgents);
}

#[test]
fn regions_of_a_site_are_those_it_names_and_others_do_not_owe() {
    let mut bus = Bus::with_accepted(1);
    bus.hear(&mut Agent::new("away", "us"));
    let local = Invalidation { site: "local".parse().unwrap(), ..invalidation() };
    let progress = bus.progress_of(1, &local);
    assert_eq!((progress.state, progress.missing.len()), (ProgressState::NoAgents, 0));
    assert_eq!(progress.regions.len(), 1);
    bus.hear(&mut Agent::new("here", "eu"));
    assert_eq!(bus.progress_of(1, &local).state, ProgressState::Published);
}

#[test]
fn a_lane_owes_only_what_lies_above_its_base() {
    let mut bus = Bus::with_accepted(5);
    let mut agent = Agent::new("one", "eu");
    agent.floors(3, 3).line().base = 3;
    bus.hear(&mut agent);
    assert_eq!(bus.state(3), ProgressState::NoAgents);
    assert_eq!(bus.state(4), ProgressState::Published);
}

#[test]
fn a_line_that_a_lane_has_not_heard_of_is_owed_from_its_start() {
    let mut bus = Bus::with_accepted(1);
    bus.hear(&mut Agent::new("one", "eu"));
    assert_eq!(bus.state(1), ProgressState::Published);
}

#[test]
fn caches_of_other_sites_and_kinds_and_priorities_owe_nothing() {
    let mut bus = Bus::with_accepted(1);
    let mut elsewhere = Agent::new("elsewhere", "eu");
    elsewhere.cache().sites = Some(BTreeSet::from(["local".parse().unwrap()]));
    let mut data = Agent::new("data", "eu");
    data.abilities().tag = Ability::NotHeld;
    let mut critical = Agent::new("critical", "eu");
    critical.lane().priority = Priority::Critical;
    for agent in [&mut elsewhere, &mut data, &mut critical] {
        bus.hear(agent);
    }
    assert_eq!(bus.state(1), ProgressState::NoAgents);
    let both = Invalidation { selectors: vec![tag(), key()], ..invalidation() };
    assert_eq!(bus.progress_of(1, &both).missing.len(), 1, "data holds keys");
}

#[test]
fn an_unsupported_selector_blocks_once_settled_and_the_rest_of_the_number_does_not_help() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    agent.abilities().tag = Ability::Unsupported;
    bus.hear(&mut agent);
    let both = Invalidation { selectors: vec![key(), tag()], ..invalidation() };
    assert_eq!(bus.progress_of(1, &both).state, ProgressState::Published);
    bus.hear(agent.floors(1, 1));
    let progress = bus.progress_of(1, &both);
    assert_eq!(progress.state, ProgressState::Blocked);
    assert_eq!(progress.missing[0].reason, "unsupported: tag");
    assert_eq!(progress.regions[0].caches[0].outcome, Some(Outcome::Unsupported));
    let keys = Invalidation { selectors: vec![key()], ..invalidation() };
    assert_eq!(bus.progress_of(1, &keys).state, ProgressState::Final);
}

#[test]
fn what_was_unsupported_when_it_was_settled_stays_so_when_the_cache_learns() {
    let mut bus = Bus::with_accepted(9);
    let mut agent = Agent::new("one", "eu");
    agent.floors(3, 3).abilities().tag = Ability::Unsupported;
    bus.hear(&mut agent);
    bus.hear({
        agent.abilities().tag = Ability::Supported;
        agent.floors(5, 5)
    });
    bus.hear(agent.floors(7, 7));
    assert_eq!(bus.state(3), ProgressState::Blocked, "settled before");
    assert_eq!(bus.state(5), ProgressState::Blocked, "settled before or after: nobody knows");
    assert_eq!(bus.state(7), ProgressState::Final);
    agent.line().exceptions = vec![(range(1, 5), Outcome::Flushed)];
    bus.hear(&mut agent);
    assert_eq!(bus.state(3), ProgressState::Final, "a flush takes all kinds along");
}

#[test]
fn a_refused_number_blocks_until_it_is_purged_after_all() {
    let mut bus = Bus::with_accepted(2);
    let mut agent = Agent::new("one", "eu");
    agent.floors(2, 2).line().exceptions = vec![(range(1, 1), Outcome::Refused)];
    bus.hear(&mut agent);
    assert_eq!((bus.state(1), bus.state(2)), (ProgressState::Blocked, ProgressState::Final));
    assert_eq!(bus.reason(1), "refused by the cache: a dead letter");
    agent.line().exceptions.clear();
    bus.hear(&mut agent);
    assert_eq!(bus.state(1), ProgressState::Final);
}

#[test]
fn settled_by_intent_counts_as_applied_and_handed_on_does_not() {
    let mut bus = Bus::with_accepted(4);
    let mut agent = Agent::new("one", "eu");
    agent.floors(4, 4).line().exceptions = vec![
        (range(1, 1), Outcome::Expired),
        (range(2, 2), Outcome::Cancelled),
        (range(3, 3), Outcome::Bridged),
        (range(4, 4), Outcome::Covered),
    ];
    bus.hear(&mut agent);
    let states: Vec<_> = (1..=4).map(|number| bus.state(number)).collect();
    let (done, not) = (ProgressState::Final, ProgressState::Published);
    assert_eq!(states, [done, done, not, done]);
    assert_eq!(bus.progress(1).regions[0].caches[0].outcome, Some(Outcome::Expired));
}

#[test]
fn a_new_life_takes_applied_back_and_a_restart_does_not() {
    let mut bus = Bus::with_accepted(5);
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(5, 2));
    bus.pass(1_000);
    bus.hear(agent.floors(2, 2));
    assert_eq!((bus.state(5), bus.progress(5).applied_ms), (ProgressState::Applied, Some(0.0)));
    agent.lane().life = 2;
    bus.hear(&mut agent);
    assert_eq!((bus.state(5), bus.state(2)), (ProgressState::Published, ProgressState::Final));
}

#[test]
fn a_restart_does_not_turn_a_refusal_into_a_purge() {
    let mut bus = Bus::with_accepted(2);
    let mut agent = Agent::new("one", "eu");
    agent.floors(2, 0).line().exceptions = vec![(range(2, 2), Outcome::Refused)];
    bus.hear(&mut agent);
    agent.floors(1, 0).line().exceptions.clear();
    bus.hear(&mut agent);
    assert_eq!(bus.state(2), ProgressState::Blocked);
}

#[test]
fn a_closed_line_that_reports_no_longer_show_stays_applied() {
    let mut bus = Bus::with_accepted(2);
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(2, 2));
    agent.lane().lines.clear();
    bus.hear(&mut agent);
    assert_eq!(bus.state(2), ProgressState::Final);
}

#[test]
fn an_old_report_and_a_repeated_one_change_nothing() {
    let mut bus = Bus::with_accepted(2);
    let mut agent = Agent::new("one", "eu");
    let old = agent.floors(2, 2).next();
    agent.lane().life = 2;
    bus.hear(agent.floors(1, 1));
    bus.tracker.report(old, at(0));
    bus.tracker.report(agent.report.clone(), at(20_000));
    bus.now = 20_000;
    assert_eq!(bus.state(2), ProgressState::Published);
    assert_eq!(bus.reason(2), "agent gone", "a repeated report is no sign of life");
}

#[test]
fn a_successor_that_lost_its_cursor_owes_a_flush_for_what_its_predecessor_owed() {
    let mut bus = Bus::with_accepted(5);
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(2, 2));
    bus.pass(60_000);
    agent.report.instance = Uuid::from_u128(2);
    agent.floors(5, 5).line().base = 5;
    agent.lane().ready = false;
    bus.hear(&mut agent);
    assert_eq!(
        (bus.state(4), bus.reason(4).as_str()),
        (ProgressState::Published, "the cache is not flushed yet")
    );
    agent.lane().ready = true;
    bus.hear(&mut agent);
    let progress = bus.progress(4);
    assert_eq!((progress.state, progress.applied_ms), (ProgressState::Final, None));
    assert_eq!(progress.regions[0].caches[0].outcome, Some(Outcome::Flushed));
}

#[test]
fn a_line_that_began_after_a_lane_was_registered_is_owed_wherever_a_later_life_joins_it() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    bus.tracker.accepted(place(1), &invalidation());
    agent.floors(1, 1).line().base = 1;
    agent.lane().ready = false;
    bus.hear(&mut agent);
    assert_eq!(bus.reason(1), "the cache is not flushed yet");
}

#[test]
fn a_successor_that_lost_its_cursor_owes_the_same_though_it_shows_no_line_at_first() {
    let mut bus = Bus::with_accepted(5);
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(2, 2));
    bus.pass(60_000);
    agent.report.instance = Uuid::from_u128(2);
    agent.lane().lines.clear();
    bus.hear(&mut agent);
    assert_eq!(bus.state(1), ProgressState::Published);
    agent.floors(5, 5).line().base = 5;
    bus.hear(&mut agent);
    let progress = bus.progress(1);
    assert_eq!(progress.regions[0].caches[0].outcome, Some(Outcome::Flushed));
}

#[test]
fn numbers_of_another_publisher_are_timed_by_two_clocks() {
    let mut bus = Bus::new();
    bus.hear(Agent::new("one", "eu").floors(1, 0));
    assert_eq!(bus.progress(1).clock, Clock::Two);
}
