//! A publisher that restarts answers as before, through a real database file.

use redb::Database;
use schemas::api::Clock;
use schemas::{Incarnation, Order, Ordered, Orders, Outcome, Paused, PublisherName};
use uuid::Uuid;

use super::super::store;
use super::retiring::{bus_left_by_p2, normal, seen};
use super::*;

/// Stores what has changed, forgets everything in memory, and reads it again in a file opened anew.
fn restarted(bus: &mut Bus, file: &std::path::Path) {
    {
        let database = Database::create(file).unwrap();
        drop(store::load(&database).unwrap());
        store::save(&database, &bus.tracker.take_unstored(true)).unwrap();
    }
    let database = Database::create(file).unwrap();
    bus.tracker = Tracker::new("p1".parse().unwrap(), sites(), at(bus.now));
    bus.tracker.restore(store::load(&database).unwrap());
}

fn file() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().unwrap()
}

#[test]
fn states_times_and_registrations_outlive_a_restart() {
    let file = file();
    let mut bus = Bus::with_accepted(9);
    let (mut agent, mut silent) = (Agent::new("one", "eu"), Agent::new("silent", "us"));
    bus.hear(&mut silent);
    bus.pass(12);
    agent.floors(4, 0).line().applied_above = vec![range(6, 6)];
    bus.hear(&mut agent);
    bus.pass(1_000);
    agent.line().exceptions = vec![(range(5, 5), Outcome::Refused)];
    bus.hear(agent.floors(6, 4));
    bus.pass(20_000);
    let before: Vec<Progress> = (1..=9).map(|number| bus.progress(number)).collect();
    restarted(&mut bus, file.path());
    bus.tracker.listening_since = at(0);
    let after: Vec<Progress> = (1..=9).map(|number| bus.progress(number)).collect();
    assert_eq!(after, before);
    assert_eq!(after[0].clock, Clock::One);
    assert_eq!(after[3].regions[0].caches[0].settled_ms, Some(12.0));
    assert_eq!(after[3].missing[0].agent.as_str(), "silent");
}

#[test]
fn what_is_stored_bit_by_bit_is_stored_whole() {
    let file = file();
    let mut bus = Bus::with_accepted(50);
    let mut agent = Agent::new("one", "eu");
    for number in 1..=50 {
        bus.pass(1_100);
        if number == 30 {
            agent.lane().life += 1;
            bus.hear(agent.floors(20, 10));
        } else {
            bus.hear(agent.floors(number, number / 2));
        }
        let before: Vec<Progress> = (1..=50).map(|number| bus.progress(number)).collect();
        restarted(&mut bus, file.path());
        let after: Vec<Progress> = (1..=50).map(|number| bus.progress(number)).collect();
        assert_eq!(after, before, "after {number}");
    }
}

#[test]
fn abilities_of_the_past_bases_and_departures_outlive_a_restart() {
    let file = file();
    let mut bus = Bus::with_accepted(9);
    let mut agent = Agent::new("one", "eu");
    agent.abilities().tag = Ability::Unsupported;
    agent.floors(3, 3).line().base = 2;
    bus.hear(&mut agent);
    agent.abilities().tag = Ability::Supported;
    bus.hear(&mut agent);
    bus.pass(16_000);
    agent.report.instance = Uuid::from_u128(2);
    agent.floors(5, 5).line().base = 5;
    bus.hear(&mut agent);
    let mut leaver = Agent::new("leaver", "us");
    bus.hear(&mut leaver);
    leaver.report.caches.clear();
    bus.pass(1);
    bus.hear(&mut leaver);
    restarted(&mut bus, file.path());
    assert_eq!(bus.progress(3).regions[0].caches[0].outcome, Some(Outcome::Flushed));
    assert_eq!(bus.progress(2).regions.len(), 1, "below the first base only the leaver owes");
    let line = bus.tracker.registry.lanes().find_map(|lane| lane.lane.lines.values().next());
    assert!(line.unwrap().judged(3).is_some());
    assert_eq!(bus.reason(1), "its agent no longer reports this cache");
}

#[test]
fn two_instances_and_old_sequences_are_still_known_after_a_restart() {
    let file = file();
    let mut bus = Bus::with_accepted(2);
    let mut one = Agent::new("one", "eu");
    let mut other = one.clone();
    other.report.instance = Uuid::from_u128(2);
    bus.hear(one.floors(1, 1));
    bus.hear(other.floors(1, 1));
    restarted(&mut bus, file.path());
    assert_eq!(bus.reason(1), "two agents under one name");
    bus.pass(60_000);
    bus.hear(&mut other);
    let repeated = other.report.clone();
    restarted(&mut bus, file.path());
    other.report.caches[0].lanes[0].lines[0].applied = 2;
    bus.tracker.report(Report { caches: other.report.caches.clone(), ..repeated }, at(bus.now));
    assert_eq!((bus.state(1), bus.state(2)), (ProgressState::Final, ProgressState::Published));
}

#[test]
fn heartbeats_alone_are_stored_only_when_asked_for() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(1, 1));
    assert!(!bus.tracker.take_unstored(false).is_empty());
    bus.hear(&mut agent);
    assert!(bus.tracker.take_unstored(false).is_empty());
    assert!(!bus.tracker.take_unstored(true).is_empty());
    assert!(bus.tracker.take_unstored(true).is_empty());
}

#[test]
fn lines_that_a_new_life_does_not_know_are_forgotten_on_disk() {
    let file = file();
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(1, 1));
    restarted(&mut bus, file.path());
    agent.lane().life += 1;
    agent.lane().lines.clear();
    bus.hear(&mut agent);
    restarted(&mut bus, file.path());
    assert_eq!(bus.state(1), ProgressState::Published);
}

#[test]
fn a_line_that_began_right_before_a_crash_is_owed_though_it_was_not_stored() {
    let file = file();
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.lane().lines.clear();
    bus.hear(&mut agent);
    restarted(&mut bus, file.path());
    bus.tracker.resume(vec![(place(1).line, Priority::Normal)], at(bus.now));
    let mut newcomer = Agent::new("two", "us");
    newcomer.floors(1, 1).line().base = 1;
    bus.hear(&mut newcomer);
    let progress = bus.progress(1);
    assert_eq!((progress.state, progress.clock), (ProgressState::Published, Clock::One));
    let owing: Vec<_> = progress.regions.iter().map(|region| region.region.as_str()).collect();
    assert_eq!(owing, ["eu"], "who came later does not owe it");
}

#[test]
fn the_last_numbers_of_who_is_retired_are_told_also_after_a_restart_and_its_return_without_them() {
    let file = file();
    let (mut bus, _) = bus_left_by_p2(&BTreeMap::from([(own_line(), seen(3, 9))]));
    bus.tracker.incarnation(Incarnation {
        publisher: "p2".parse().unwrap(),
        since: at(bus.now),
        lines: vec![LineId::from_bytes([3; 16])],
        closes: vec![],
    });
    restarted(&mut bus, file.path());
    let told = BTreeMap::from([(normal(3), vec![(own_line(), 9)])]);
    assert_eq!(bus.tracker.heads_of_retired(at(0)), told);
}

/// `by` has paused a token of that name, for an hour from 0 on, or has none.
fn pauses(by: &str, tokens: &[&str]) -> Orders {
    let by: PublisherName = by.parse().unwrap();
    let pause = |(id, token): (u128, &&str)| Order {
        id: Uuid::from_u128(id),
        at: at(0),
        expires_at: at(3_600_000),
        what: Ordered::Pause {
            what: Paused::Token((*token).to_owned()),
            reason: None,
            by: "ops".to_owned(),
        },
    };
    Orders { by, orders: (1..).zip(tokens).map(pause).collect() }
}

#[test]
fn what_is_paused_is_known_after_a_restart_before_any_board_is_read() {
    let file = file();
    let mut bus = Bus::with_accepted(1);
    bus.tracker.orders(pauses("p1", &["cms"]));
    bus.tracker.orders(pauses("p2", &["import"]));
    restarted(&mut bus, file.path());
    let paused = |bus: &Bus, now| bus.tracker.pauses(at(now)).len();
    assert_eq!((paused(&bus, 3_599_999), paused(&bus, 3_600_000)), (2, 0));
    bus.tracker.orders(pauses("p2", &[]));
    restarted(&mut bus, file.path());
    assert_eq!(bus.tracker.pauses(at(1))[0].what, Paused::Token("cms".to_owned()));
    assert_eq!(paused(&bus, 1), 1);
}
