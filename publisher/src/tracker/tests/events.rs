//! What is told of invalidations and caches, once each; and what a slow listener is told.

use schemas::api::{Clock, Event};
use schemas::{CircuitState, Frame, Heartbeat, NumberRange, Outcome, OutcomeCounts};

use super::super::events::EVENTS_MAX;
use super::*;

impl Bus {
    /// A second passes, and all that happened since `from` is told.
    fn told(&mut self, from: &mut u64) -> Vec<String> {
        self.pass(1_001);
        self.tracker.sweep(at(self.now));
        let batch = self.tracker.events_from(*from, usize::MAX);
        *from = batch.next;
        batch.events.iter().map(|(_, event)| in_words(event)).collect()
    }
}

fn in_words(event: &Event) -> String {
    let more = match event {
        Event::Flush(event) => format!("{} {}", event.cache, event.numbers),
        Event::CacheDown(event) => event.reason.clone().unwrap_or_default(),
        Event::Blocked(event) => event.missing[0].reason.clone(),
        Event::Applied(event) | Event::Final(event) => {
            format!("{} {}", event.after_ms, if event.clock == Clock::One { "one" } else { "two" })
        }
        Event::Lagged(event) => format!("{:?}", event.missed),
        Event::Published(_) | Event::CacheUp(_) => String::new(),
    };
    format!("{} {more}", event.word()).trim_end().to_owned()
}

#[test]
fn an_invalidation_is_told_step_by_step_and_each_step_once() {
    let mut bus = Bus::with_accepted(0);
    let (mut west, mut east) = (Agent::new("edge-1", "eu-west"), Agent::new("edge-2", "us-east"));
    bus.hear(&mut west);
    bus.hear(&mut east);
    let mut from = 0;
    assert_eq!(bus.told(&mut from), ["cache_up", "cache_up"]);
    bus.tracker.accepted(place(1), &Invalidation { accepted_at: at(bus.now), ..invalidation() });
    assert_eq!(bus.told(&mut from), ["published"]);
    bus.hear(west.floors(1, 0));
    assert_eq!(bus.told(&mut from), [""; 0]);
    bus.pass(98);
    bus.hear(east.floors(1, 1));
    assert_eq!(bus.told(&mut from), ["applied 2100 one"]);
    bus.hear(west.floors(1, 1));
    bus.hear(east.floors(1, 1));
    assert_eq!(bus.told(&mut from), ["final 3101 one"]);
    assert_eq!(bus.told(&mut from), [""; 0]);
}

#[test]
fn what_is_final_in_one_report_was_applied_too() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("edge-1", "eu-west");
    bus.hear(&mut agent);
    let mut from = 0;
    bus.told(&mut from);
    bus.tracker.accepted(place(1), &Invalidation { accepted_at: at(bus.now), ..invalidation() });
    bus.hear(agent.floors(1, 1));
    assert_eq!(bus.told(&mut from), ["published", "applied 0 one", "final 0 one"]);
}

#[test]
fn what_is_blocked_is_told_and_what_becomes_of_it_when_its_agent_is_retired() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("edge-1", "eu-west");
    let mut other = Agent::new("edge-2", "us-east");
    bus.hear(&mut agent);
    bus.hear(&mut other);
    let mut from = 0;
    bus.told(&mut from);
    bus.tracker.accepted(place(1), &Invalidation { accepted_at: at(bus.now), ..invalidation() });
    agent.line().exceptions = vec![(NumberRange { first: 1, last: 1 }, Outcome::Refused)];
    bus.hear(agent.floors(1, 1));
    bus.hear(other.floors(1, 1));
    assert_eq!(bus.told(&mut from), ["published", "blocked refused by the cache: a dead letter"]);
    assert_eq!(bus.told(&mut from), [""; 0]);
    let by = "p1".parse().unwrap();
    let word = bus.tracker.agent_retirement(&"edge-1".parse().unwrap(), &by, at(bus.now)).unwrap();
    bus.tracker.retirement(word, at(bus.now));
    let told = bus.told(&mut from);
    let steps: Vec<_> = told.iter().map(|told| told.split(' ').next().unwrap()).collect();
    assert_eq!(steps, ["applied", "final"], "{told:?}");
}

#[test]
fn caches_come_and_go_and_say_when_they_were_flushed() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("edge-1", "eu-west");
    agent.lane().ready = false;
    bus.hear(&mut agent);
    let mut from = 0;
    assert_eq!(bus.told(&mut from), [""; 0], "one that begins has not gone down");
    agent.lane().ready = true;
    bus.hear(&mut agent);
    assert_eq!(bus.told(&mut from), ["cache_up"]);
    agent.lane().circuit = CircuitState::Open;
    agent.lane().last_error = Some("refused".to_owned());
    agent.lane().outcomes.add(Outcome::Flushed, 7);
    bus.hear(&mut agent);
    assert_eq!(bus.told(&mut from), ["flush varnish 7", "cache_down circuit open: refused"]);
    agent.lane().circuit = CircuitState::Closed;
    bus.hear(&mut agent);
    assert_eq!(bus.told(&mut from), ["cache_up"]);
    agent.lane().outcomes = OutcomeCounts::default();
    agent.lane().outcomes.add(Outcome::Flushed, 2);
    bus.hear(&mut agent);
    assert_eq!(bus.told(&mut from), ["flush varnish 2"], "a new process counts from nothing");
    bus.pass(16_000);
    assert_eq!(bus.told(&mut from), ["cache_down agent gone"]);
}

#[test]
fn what_another_publisher_accepts_is_told_on_two_clocks_and_not_measured() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("edge-1", "eu-west");
    bus.hear(&mut agent);
    let mut from = 0;
    bus.told(&mut from);
    let frame = Frame {
        publisher: "p2".parse().unwrap(),
        line: own_line(),
        first: 1,
        committed_at: at(bus.now),
        invalidations: vec![Invalidation { accepted_at: at(bus.now), ..invalidation() }; 2],
        signature: None,
    };
    bus.tracker.heard(&frame);
    bus.tracker.heard(&frame);
    bus.hear(agent.floors(2, 1));
    let told = bus.told(&mut from);
    let expected = ["published", "published", "applied 0 two", "applied 0 two", "final 0 two"];
    assert_eq!(told, expected);
    let regions = bus.tracker.regions(at(bus.now));
    assert!(regions.iter().all(|region| region.applied.since_start.count == 0));
}

#[test]
fn whoever_is_too_slow_is_told_how_much_it_has_missed_and_goes_on_with_the_oldest() {
    let bus = Bus::with_accepted(EVENTS_MAX as u64 + 10);
    let batch = bus.tracker.events_from(3, 2);
    let told: Vec<_> =
        batch.events.iter().map(|(number, event)| (*number, in_words(event))).collect();
    let published = || "published".to_owned();
    assert_eq!(told, [(9, "lagged Some(7)".to_owned()), (10, published()), (11, published())]);
    assert_eq!(batch.next, 12);
    assert_eq!(bus.tracker.events_from(12, usize::MAX).events.len(), EVENTS_MAX - 2);
    let newest = bus.tracker.next_event();
    assert_eq!(bus.tracker.events_from(newest, 5).next, newest);
}

#[test]
fn times_on_two_clocks_say_by_how_much_they_may_be_too_long() {
    let mut bus = Bus::new();
    let heartbeat = |made_at| Heartbeat {
        publisher: "p2".parse().unwrap(),
        at: at(made_at),
        lines: vec![(own_line(), 1)],
        agents: None,
    };
    assert_eq!(bus.progress(1).clock_bound_ms, None, "nothing is known of its clock");
    bus.tracker.heartbeat(&heartbeat(-30), at(0));
    bus.tracker.heartbeat(&heartbeat(980), at(1_000));
    bus.tracker.heartbeat(&heartbeat(1_500), at(2_000));
    assert_eq!(bus.progress(1).clock_bound_ms, Some(20.0), "the fastest");
    bus.tracker.heartbeat(&heartbeat(3_004), at(3_000));
    assert_eq!(bus.progress(1).clock_bound_ms, Some(-4.0), "its clock is ahead");
    bus.tracker.heartbeat(&heartbeat(124_900), at(125_000));
    bus.tracker.heartbeat(&heartbeat(249_900), at(250_000));
    assert_eq!(bus.progress(1).clock_bound_ms, Some(100.0), "clocks drift");
    let mut accepting = Bus::with_accepted(1);
    accepting.tracker.heartbeat(&heartbeat(0), at(10));
    let own = accepting.progress(1);
    assert_eq!((own.clock, own.clock_bound_ms), (Clock::One, None));
}
