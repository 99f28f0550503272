//! What the tracker remembers is bounded, whatever the rate and the outage.

use super::super::pass::TIMES_MAX;
use super::super::pending::ENTRIES_MAX;
use super::*;

const MILLION: Number = 1_000_000;

fn entries(tracker: &Tracker) -> usize {
    let pending: usize = tracker.own_lines.values().map(|own| own.pending.entries()).sum();
    let lines = tracker.registry.lanes().flat_map(|registered| registered.lane.lines.values());
    pending + lines.map(|line| line.applied.entries() + line.finished.entries()).sum::<usize>()
}

#[test]
fn a_million_numbers_in_flight_fit_and_their_percentiles_stay_true() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    for number in 1..=MILLION {
        let accepted_at = at(number.cast_signed() / 20);
        bus.tracker.accepted(place(number), &Invalidation { accepted_at, ..invalidation() });
    }
    assert!(entries(&bus.tracker) <= ENTRIES_MAX, "{} entries", entries(&bus.tracker));
    bus.now = 50_000;
    for applied in (0..=MILLION).step_by(500) {
        bus.hear(agent.floors(applied, 0));
        assert!(entries(&bus.tracker) <= ENTRIES_MAX + 2 * TIMES_MAX + 4);
    }
    let applied = bus.tracker.regions(at(bus.now))[0].applied.since_start;
    assert!(applied.count.abs_diff(MILLION) < MILLION * 3 / 100, "{applied:?}");
    assert!((applied.p50_ms - 25_000.0).abs() < 1_000.0, "{applied:?}");
    assert!((applied.p99_ms - 49_500.0).abs() < 1_000.0, "{applied:?}");
}

#[test]
fn numbers_that_are_final_everywhere_are_let_go() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    bus.hear(&mut agent);
    for number in 1..=1_000 {
        bus.tracker.accepted(place(number), &invalidation());
        bus.hear(agent.floors(number, number));
    }
    assert_eq!(bus.tracker.own_lines[&own_line()].pending.entries(), 0);
}

#[test]
fn numbers_out_of_order_cost_a_bounded_number_of_times() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    for step in 0..20 {
        agent.line().applied_above = (1..=500 * (step + 1)).map(|n| range(3 * n, 3 * n)).collect();
        bus.pass(1_000);
        bus.hear(&mut agent);
    }
    assert!(entries(&bus.tracker) <= 10_000 + TIMES_MAX, "{} entries", entries(&bus.tracker));
}

#[test]
fn lines_of_many_publishers_are_bounded() {
    let mut bus = Bus::new();
    let mut agent = Agent::new("one", "eu");
    agent.floors(1, 1);
    for line in 0..3_000u128 {
        agent.line().line = LineId::from_bytes(line.to_be_bytes());
        bus.pass(1);
        bus.hear(&mut agent);
        bus.tracker.accepted(
            Place { line: LineId::from_bytes(line.to_be_bytes()), number: 1 },
            &invalidation(),
        );
    }
    let lines: usize = bus.tracker.registry.lanes().map(|lane| lane.lane.lines.len()).sum();
    assert_eq!((lines, bus.tracker.own_lines.len()), (1_024, 1_024));
}
