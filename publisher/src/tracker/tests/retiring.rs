//! Agents and publishers that are gone for good, and those that come back.

use broker_adapter::Partition;
use schemas::api::{AgentState, AgentSummary, PublisherState};
use schemas::{Heartbeat, Incarnation, PublisherName, Retired, Retirement};

use super::*;
use crate::journal::Stream;
use crate::search::Head;

impl Bus {
    /// The agent of that name, as the table shows it.
    fn agent(&self, name: &str) -> AgentSummary {
        self.tracker.agent(&name.parse().unwrap(), at(self.now)).unwrap()
    }

    fn agent_state_of(&self, name: &str) -> AgentState {
        self.agent(name).state
    }

    /// Says that it is gone for good, as this publisher would on the board, and hears it.
    fn retire(&mut self, name: &str) -> Retirement {
        let by: PublisherName = "p1".parse().unwrap();
        let now = at(self.now);
        let retirement = self.tracker.agent_retirement(&name.parse().unwrap(), &by, now).unwrap();
        self.tracker.retirement(retirement.clone(), now);
        retirement
    }

    fn beat(&mut self, publisher: &str, lines: Vec<(LineId, Number)>) {
        let publisher = publisher.parse().unwrap();
        let heartbeat = Heartbeat { publisher, at: at(self.now), lines, agents: None };
        self.tracker.heartbeat(&heartbeat, at(self.now));
    }

    fn publisher_state(&self, name: &str) -> PublisherState {
        self.tracker.publisher(&name.parse().unwrap(), at(self.now)).unwrap().state
    }
}

#[test]
fn an_agent_is_announced_then_live_then_gone_since_its_last_report() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.lane().ready = false;
    bus.hear(&mut agent);
    assert_eq!(bus.agent_state_of("one"), AgentState::Announced);
    agent.lane().ready = true;
    bus.pass(1_000);
    bus.hear(&mut agent);
    assert_eq!(bus.agent_state_of("one"), AgentState::Live);
    bus.pass(15_001);
    let shown = bus.agent("one");
    assert_eq!((shown.state, shown.since), (AgentState::Gone, Some(at(1_000))));
    assert_eq!(shown.report_age_seconds, Some(15.001));
    assert_eq!(shown.region.unwrap().as_str(), "eu");
}

#[test]
fn two_live_instances_are_doubled_until_one_has_been_silent() {
    let mut bus = Bus::new();
    let mut one = Agent::new("one", "eu");
    let mut other = one.clone();
    other.report.instance = Uuid::from_u128(2);
    bus.hear(&mut one);
    bus.hear(&mut other);
    assert_eq!(bus.agent_state_of("one"), AgentState::Doubled);
    assert_eq!(bus.agent("one").instances.len(), 2);
    assert_eq!(bus.tracker.doubled_agents(at(0)).len(), 1);
    bus.pass(15_001);
    bus.hear(&mut other);
    assert_eq!(bus.agent_state_of("one"), AgentState::Live);
}

#[test]
fn what_a_retired_agent_owed_is_owed_by_nobody() {
    let mut bus = Bus::with_accepted(1);
    let (mut alive, mut gone) = (Agent::new("alive", "eu"), Agent::new("gone", "eu"));
    bus.hear(&mut gone);
    bus.pass(700_000);
    bus.hear(alive.floors(1, 1));
    assert_eq!(bus.state(1), ProgressState::Blocked);
    bus.retire("gone");
    assert_eq!(bus.state(1), ProgressState::Final);
    let shown = bus.agent("gone");
    assert_eq!((shown.state, shown.since), (AgentState::Retired, Some(at(700_000))));
    assert_eq!(shown.retired_by.unwrap().as_str(), "p1");
}

#[test]
fn what_it_said_before_registers_nobody_and_what_it_says_after_does() {
    let mut bus = Bus::with_accepted(5);
    let mut agent = Agent::new("one", "eu");
    let old = agent.floors(1, 1).next();
    bus.tracker.report(old.clone(), at(0));
    bus.retire("one");
    bus.tracker.report(old, at(1));
    assert_eq!(
        (bus.agent_state_of("one"), bus.state(2)),
        (AgentState::Retired, ProgressState::NoAgents)
    );
    agent.line().base = 3;
    bus.hear(agent.floors(3, 3));
    assert_eq!(bus.agent_state_of("one"), AgentState::Returned);
    assert_eq!(
        (bus.state(3), bus.state(4)),
        (ProgressState::NoAgents, ProgressState::Published),
        "it owes what lies above the base that it reports"
    );
    bus.pass(25 * 3_600_000);
    bus.hear(&mut agent);
    assert_eq!(bus.agent_state_of("one"), AgentState::Live);
}

#[test]
fn a_new_instance_of_a_retired_agent_returns_too() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    bus.retire("one");
    agent.report.instance = Uuid::from_u128(2);
    agent.report.sequence = 0;
    bus.hear(&mut agent);
    assert_eq!(
        (bus.agent_state_of("one"), bus.state(1)),
        (AgentState::Returned, ProgressState::Published)
    );
}

#[test]
fn who_is_retired_twice_returns_twice() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    for time in [1_000, 3_000] {
        bus.now = time;
        bus.retire("one");
        bus.hear(&mut agent);
        assert_eq!(bus.agent("one").since, Some(at(time)));
    }
}

#[test]
fn what_has_stood_on_the_board_for_long_is_as_old_as_it_is() {
    let mut bus = Bus::new();
    bus.tracker.old_report(Agent::new("one", "eu").next(), at(-90_000));
    bus.pass(15_001);
    let shown = bus.agent("one");
    assert_eq!((shown.state, shown.since), (AgentState::Gone, Some(at(-90_000))));
    assert_eq!(shown.clock, None, "how long it took to come tells nothing");
}

#[test]
fn a_retirement_heard_after_the_return_retires_nobody() {
    let mut bus = Bus::with_accepted(1);
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    let retirement = bus.retire("one");
    bus.hear(&mut agent);
    bus.tracker.retirement(retirement, at(bus.now));
    assert_eq!(
        (bus.agent_state_of("one"), bus.state(1)),
        (AgentState::Returned, ProgressState::Published)
    );
}

#[test]
fn an_agent_that_nobody_knows_cannot_be_retired_and_one_retired_keeps_its_date() {
    let mut bus = Bus::new();
    let (nobody, by) = ("nobody".parse().unwrap(), "p1".parse().unwrap());
    assert_eq!(bus.tracker.agent_retirement(&nobody, &by, at(0)), None);
    bus.hear(&mut Agent::new("one", "eu"));
    let first = bus.retire("one");
    bus.pass(1_000);
    assert_eq!(bus.retire("one"), first);
}

#[test]
fn a_successor_on_a_line_of_another_publisher_owes_until_it_is_flushed() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    bus.pass(60_000);
    agent.report.instance = Uuid::from_u128(2);
    agent.lane().ready = false;
    agent.floors(5, 5).line().base = 5;
    bus.hear(&mut agent);
    assert_eq!(bus.state(5), ProgressState::Published, "its predecessor may have owed it");
    agent.lane().ready = true;
    bus.hear(&mut agent);
    assert_eq!(bus.state(5), ProgressState::Final);
}

#[test]
fn a_publisher_is_silent_while_others_are_heard_and_not_while_we_are_deaf() {
    let mut bus = Bus::new();
    bus.tracker.listens_to_publishers(at(0));
    bus.beat("p2", vec![]);
    bus.pass(20_000);
    assert_eq!(bus.publisher_state("p2"), PublisherState::Live, "nobody was heard since");
    bus.beat("p1", vec![]);
    assert_eq!(bus.publisher_state("p2"), PublisherState::Silent);
    bus.tracker.listens_to_publishers(at(bus.now));
    assert_eq!(bus.publisher_state("p2"), PublisherState::Live, "we were deaf until now");
}

#[test]
fn a_retired_publisher_is_closed_at_the_highest_number_that_anyone_has_shown() {
    let mut bus = Bus::new();
    let incarnation = Incarnation {
        publisher: "p2".parse().unwrap(),
        since: at(0),
        lines: vec![own_line()],
        closes: vec![],
    };
    bus.tracker.incarnation(incarnation.clone());
    bus.beat("p2", vec![(own_line(), 4)]);
    let mut agent = Agent::new("one", "eu");
    agent.floors(2, 2).line().holes = vec![range(6, 7)];
    bus.hear(&mut agent);
    let name: PublisherName = "p2".parse().unwrap();
    assert_eq!(bus.tracker.publisher(&name, at(0)).unwrap().lines[0].last, 7);
    let unread = bus.tracker.publisher_retirement(&name, &BTreeMap::new(), at(0)).unwrap();
    let Retired::Publisher { lines, .. } = &unread.retired else { panic!("not a publisher") };
    assert_eq!(lines, &[(own_line(), 7)], "a lane misses it, so it exists");
    let read = BTreeMap::from([(own_line(), seen(3, 9))]);
    let retirement = bus.tracker.publisher_retirement(&name, &read, at(0)).unwrap();
    let Retired::Publisher { lines, .. } = &retirement.retired else { panic!("not a publisher") };
    assert_eq!(lines, &[(own_line(), 9)]);
    bus.tracker.retirement(retirement.clone(), at(0));
    bus.tracker.incarnation(incarnation);
    assert_eq!(bus.publisher_state("p2"), PublisherState::Retired);
    assert!(bus.tracker.publishers.is_retired_line(own_line()));
    assert_eq!(
        bus.reason(7),
        "it has not arrived: a hole in the log; its publisher is retired, so the cache flushes"
    );
    bus.beat("p2", vec![]);
    assert_eq!(bus.publisher_state("p2"), PublisherState::Live, "it has spoken again");
    assert!(!bus.tracker.publishers.is_retired_line(own_line()));
    bus.tracker.retirement(retirement, at(0));
    assert_eq!(bus.publisher_state("p2"), PublisherState::Live, "an old word");
}

/// A line as the log shows it, on a partition of the normal topic.
pub(super) fn seen(partition: u32, last: Number) -> Head {
    Head { stream: normal(partition), last }
}

pub(super) fn normal(partition: u32) -> Stream {
    Stream { priority: Priority::Normal, partition: Partition(partition) }
}

/// A bus on which `p2` has numbered that line since some time, has closed another one before, and is retired now.
pub(super) fn bus_left_by_p2(read: &BTreeMap<LineId, Head>) -> (Bus, LineId) {
    let mut bus = Bus::new();
    let closed = LineId::from_bytes([2; 16]);
    bus.tracker.incarnation(Incarnation {
        publisher: "p2".parse().unwrap(),
        since: at(0),
        lines: vec![own_line()],
        closes: vec![(closed, 50)],
    });
    bus.pass(1_000);
    let name: PublisherName = "p2".parse().unwrap();
    let now = at(bus.now);
    let retirement = bus.tracker.publisher_retirement(&name, read, now).unwrap();
    bus.tracker.retirement(retirement, now);
    (bus, closed)
}

#[test]
fn others_tell_the_last_numbers_of_who_is_retired_where_it_told_them_until_all_forget_them() {
    let (bus, closed) = bus_left_by_p2(&BTreeMap::from([(own_line(), seen(3, 9))]));
    let told = BTreeMap::from([(normal(3), vec![(own_line(), 9)])]);
    assert_eq!(bus.tracker.heads_of_retired(at(1_000)), told);
    assert!(bus.tracker.publishers.is_retired_line(closed), "and yet it told that one itself");
    assert_eq!(bus.tracker.heads_of_retired(at(1_001)), BTreeMap::new());
}

#[test]
fn what_only_a_lane_has_heard_of_who_is_retired_is_told_also_when_it_settles_it_later() {
    let (mut bus, _) = bus_left_by_p2(&BTreeMap::new());
    assert_eq!(bus.tracker.heads_of_retired(at(0)), BTreeMap::new(), "nobody has heard a number");
    let mut agent = Agent::new("one", "eu");
    bus.hear(agent.floors(7, 7));
    let told = BTreeMap::from([(normal(0), vec![(own_line(), 7)])]);
    assert_eq!(bus.tracker.heads_of_retired(at(0)), told);
}

#[test]
fn who_passes_on_the_numbers_of_another_does_not_own_them_and_who_returns_tells_its_own() {
    let (mut bus, _) = bus_left_by_p2(&BTreeMap::from([(own_line(), seen(0, 9))]));
    bus.beat("p3", vec![(own_line(), 9)]);
    let p3 = bus.tracker.publisher(&"p3".parse().unwrap(), at(bus.now)).unwrap();
    assert!(p3.lines.is_empty(), "{p3:?}");
    let read = BTreeMap::from([(own_line(), seen(0, 9))]);
    let retired = bus.tracker.publisher_retirement(&p3.publisher, &read, at(bus.now)).unwrap();
    let Retired::Publisher { lines, .. } = retired.retired else { panic!("not a publisher") };
    assert_eq!(lines, []);
    bus.beat("p2", vec![]);
    assert_eq!(bus.tracker.heads_of_retired(at(0)), BTreeMap::new());
}

#[test]
fn a_new_incarnation_is_a_return_however_late_the_retirement_is_heard() {
    let mut bus = Bus::new();
    let name: PublisherName = "p2".parse().unwrap();
    let incarnation = |line| Incarnation {
        publisher: "p2".parse().unwrap(),
        since: at(0),
        lines: vec![LineId::from_bytes([line; 16])],
        closes: vec![],
    };
    bus.tracker.incarnation(incarnation(1));
    let retirement = bus.tracker.publisher_retirement(&name, &BTreeMap::new(), at(1)).unwrap();
    bus.tracker.incarnation(incarnation(2));
    bus.tracker.retirement(retirement.clone(), at(2));
    assert_ne!(bus.publisher_state("p2"), PublisherState::Retired);
    let mut late = Bus::new();
    late.tracker.retirement(retirement, at(2));
    assert_eq!(late.publisher_state("p2"), PublisherState::Retired);
    late.tracker.incarnation(incarnation(2));
    assert_ne!(late.publisher_state("p2"), PublisherState::Retired);
    let gone = LineId::from_bytes([1; 16]);
    assert!(late.tracker.publishers.is_retired_line(gone), "its new journal does not have it");
    let remembered = Incarnation { closes: vec![(gone, 3)], ..incarnation(2) };
    late.tracker.incarnation(remembered);
    assert!(!late.tracker.publishers.is_retired_line(gone), "it has its journal back");
}

#[test]
fn publishers_are_bounded() {
    let mut bus = Bus::new();
    for number in 0..1_000 {
        bus.pass(1);
        bus.beat(&format!("p{number}"), vec![]);
    }
    assert_eq!(bus.tracker.publisher_summaries(at(bus.now)).len(), 256);
    assert_eq!(bus.publisher_state("p999"), PublisherState::Live);
}
