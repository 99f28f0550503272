//! Replays: who owes them, that they are measured nowhere, and who has missed what is to be replayed.

use jiff::SignedDuration;
use schemas::api::LatencyWindow;
use schemas::{Outcome, Recipients};

use super::*;
use crate::tracker::{Miss, MissedBy};

fn by(late: Option<i64>) -> MissedBy {
    let late = late.map(SignedDuration::from_millis);
    MissedBy { region: "eu".parse().unwrap(), agent: None, cache: None, late }
}

impl Bus {
    fn missed(&self, number: Number, by: &MissedBy) -> Miss {
        self.tracker.missed(place(number), &invalidation(), by)
    }
}

#[test]
fn only_those_it_names_owe_a_replay_and_no_latency_counts_it() {
    let mut bus = Bus::new();
    let (mut named, mut other) = (Agent::new("edge-1", "eu"), Agent::new("edge-2", "eu"));
    for agent in [&mut named, &mut other] {
        bus.hear(agent.floors(0, 0));
    }
    let recipients =
        Recipients { agents: ["edge-1".parse().unwrap()].into(), ..Recipients::default() };
    let narrow = Invalidation { origin: Some(Uuid::from_u128(9)), recipients, ..invalidation() };
    bus.tracker.accepted(place(1), &narrow);
    bus.pass(10);
    bus.hear(named.floors(1, 1));
    let progress = bus.progress_of(1, &narrow);
    assert_eq!((progress.state, progress.facts.origin), (ProgressState::Final, narrow.origin));
    assert_eq!(in_region(&progress, "eu").caches.len(), 1);
    let count =
        |bus: &Bus| bus.tracker.latency(None, LatencyWindow::SinceStart, at(bus.now)).applied.count;
    assert_eq!(count(&bus), 0, "it is no change of content");
    bus.tracker.accepted(place(2), &invalidation());
    bus.hear(named.floors(2, 2));
    bus.hear(other.floors(2, 2));
    assert_eq!(count(&bus), 1);
    let caches = Recipients { caches: ["redis".parse().unwrap()].into(), ..Recipients::default() };
    let elsewhere = Invalidation { recipients: caches, ..invalidation() };
    assert_eq!(bus.progress_of(3, &elsewhere).state, ProgressState::NoAgents);
}

#[test]
fn a_region_has_missed_what_somebody_there_owes_or_could_not_do() {
    let mut bus = Bus::with_accepted(6);
    let (mut here, mut there) = (Agent::new("edge-1", "eu"), Agent::new("edge-2", "us"));
    let exceptions = [
        (2, Outcome::Covered),
        (3, Outcome::Refused),
        (4, Outcome::Expired),
        (5, Outcome::Flushed),
    ];
    here.line().exceptions =
        exceptions.map(|(number, outcome)| (range(number, number), outcome)).into();
    bus.hear(here.floors(5, 0));
    bus.hear(there.floors(0, 0));
    let missed: Vec<Number> =
        (1..=6).filter(|number| bus.missed(*number, &by(None)) == Miss::Missed).collect();
    assert_eq!(missed, [3, 6]);
    let of = |region: &str, agent: &str| MissedBy {
        region: region.parse().unwrap(),
        agent: Some(agent.parse().unwrap()),
        ..by(None)
    };
    assert_eq!(bus.missed(1, &of("us", "edge-2")), Miss::Missed);
    assert_eq!(bus.missed(6, &of("eu", "edge-2")), Miss::Not, "nobody of that name is there");
    assert_eq!(bus.missed(6, &of("mars", "edge-1")), Miss::Not, "nobody owes it there");
}

#[test]
fn what_was_settled_late_was_missed_as_far_as_anybody_knows() {
    let mut bus = Bus::with_accepted(3);
    let mut agent = Agent::new("edge-1", "eu");
    agent.line().base = 1;
    bus.pass(50);
    bus.hear(agent.floors(2, 0));
    bus.pass(50);
    bus.hear(agent.floors(3, 0));
    let misses = |late| [1, 2, 3].map(|number| bus.missed(number, &by(Some(late))));
    assert_eq!(misses(49), [Miss::Not, Miss::Missed, Miss::Missed]);
    assert_eq!(misses(50), [Miss::Not, Miss::Not, Miss::Missed]);
    assert_eq!(misses(100), [Miss::Not; 3]);
    let mut later = Agent::new("edge-1", "eu");
    later.report.instance = Uuid::from_u128(2);
    later.line().base = 3;
    bus.pass(20_000);
    bus.hear(later.floors(3, 3));
    assert_eq!(bus.missed(2, &by(Some(50))), Miss::Unknown, "it was flushed, nobody knows when");
    assert_eq!(bus.missed(2, &by(None)), Miss::Not);
}
