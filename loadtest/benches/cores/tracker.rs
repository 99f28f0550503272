//! What a publisher does with what agents report: of frames of a hundred numbers, of nothing new, and of a cache that has
//! refused every other one of a thousand.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use publisher::cores::Tracked;
use rangemap::RangeInclusiveMap;
use schemas::{BoardMessage, LineReport, Number, NumberRange, Outcome, Place, Report, wire};
use tests::record;

use crate::given;

/// How many agents there are, each with one cache.
const AGENTS: [u32; 3] = [10, 100, 1_000];
const FRAMED: Number = 100;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// Long enough for the largest fleet.
const TIME_MAX: Duration = Duration::from_secs(5);

/// A publisher that knows so many agents.
fn tracked(agents: u32) -> Tracked {
    let mut tracked = Tracked::new(record::sites(), NOW);
    (0..agents).for_each(|agent| tracked.report(given::report(agent, 1, given::settled(0)), NOW));
    assert_eq!(tracked.agents(), agents);
    tracked
}

/// Each number, at each agent: accepted once, and settled by the next report of each.
#[divan::bench(args = AGENTS, max_time = TIME_MAX)]
fn track(bencher: Bencher<'_, '_>, agents: u32) {
    let mut tracked = tracked(agents);
    let invalidations = record::frame(given::line(), 1, FRAMED).invalidations;
    let round = Cell::new(1);
    let reports = || {
        let now = round.replace(round.get() + 1);
        let report = |agent| given::report(agent, now + 1, given::settled(now * FRAMED));
        (now, (0..agents).map(report).collect::<Vec<_>>())
    };
    let count = u64::from(agents) * FRAMED;
    bencher.counter(ItemsCount::new(count)).with_inputs(reports).bench_local_values(
        |(now, reports)| {
            for (number, invalidation) in ((now - 1) * FRAMED + 1..).zip(&invalidations) {
                tracked.accepted(Place { line: given::line(), number }, invalidation);
            }
            for report in reports {
                tracked.report(report, NOW);
            }
        },
    );
}

#[divan::bench(args = AGENTS)]
fn track_baseline_map_of_ranges(bencher: Bencher<'_, '_>, agents: u32) {
    let mut settled = vec![RangeInclusiveMap::new(); agents as usize];
    let mut last = 0;
    bencher.counter(ItemsCount::new(u64::from(agents) * FRAMED)).bench_local(|| {
        let first = last + 1;
        last += FRAMED;
        for settled in &mut settled {
            settled.insert(first..=last, NOW);
        }
    });
}

/// Each report of agents that have nothing new to say.
#[divan::bench(args = AGENTS, max_time = TIME_MAX)]
fn idle_report(bencher: Bencher<'_, '_>, agents: u32) {
    let mut tracked = tracked(agents);
    let round = Cell::new(1);
    let reports = || {
        let now = round.replace(round.get() + 1);
        (0..agents).map(|agent| given::report(agent, now + 1, given::settled(0))).collect()
    };
    bencher.counter(ItemsCount::new(agents)).with_inputs(reports).bench_local_values(
        |reports: Vec<Report>| {
            for report in reports {
                tracked.report(report, NOW);
            }
        },
    );
}

/// A thousand numbers are settled, of which the cache has refused every other one: told in ranges, as ever since.
fn refused() -> LineReport {
    let one = |number| NumberRange { first: number, last: number };
    let exceptions = (1..=1_000).step_by(2).map(|number| (one(number), Outcome::Refused));
    LineReport { exceptions: exceptions.collect(), ..given::settled(1_000) }
}

#[divan::bench]
fn report_of_refusals(bencher: Bencher<'_, '_>) {
    let mut tracked = tracked(1);
    let round = Cell::new(1);
    let report = || given::report(0, round.replace(round.get() + 1) + 1, refused());
    bencher.counter(ItemsCount::new(1_000_u32)).with_inputs(report).bench_local_values(|report| {
        tracked.report(report, NOW);
    });
}

#[divan::bench]
fn report_of_refusals_baseline_copy(bencher: Bencher<'_, '_>) {
    let report = refused();
    bencher.counter(ItemsCount::new(1_000_u32)).bench(|| black_box(&report).clone());
}

fn read_report(bencher: Bencher<'_, '_>, line: LineReport) {
    let report = given::report(0, 1, line);
    let bytes = wire::encode_board(&BoardMessage::Report(Box::new(report)));
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let message = wire::decode_board(black_box(&bytes)).expect("a message");
        assert!(matches!(message, BoardMessage::Report(_)));
    });
}

#[divan::bench]
fn decode_idle_report(bencher: Bencher<'_, '_>) {
    read_report(bencher, given::settled(1_000));
}

#[divan::bench]
fn decode_report_of_refusals(bencher: Bencher<'_, '_>) {
    read_report(bencher, refused());
}
