//! What stretches promise, against any order of what happens to them.

use proptest::prelude::*;

use super::*;

const DELAYS: [u64; 3] = [1, 11, 65];
fn line() -> LineId {
    LineId::from_bytes([7; 16])
}

fn seconds(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn stretches() -> Stretches {
    Stretches::new(DELAYS.map(Duration::from_secs).to_vec())
}

fn place(number: Number) -> Place {
    Place { line: line(), number }
}

/// Number n lies at position n.
fn at(number: Number) -> Located {
    let (partition, position) = (Partition(0), Position(number));
    Located { partition, position, time: Timestamp::UNIX_EPOCH }
}

fn numbers(numbers: &Numbers) -> Vec<Number> {
    let ranges = numbers.values().flat_map(RangeInclusiveSet::iter);
    ranges.flat_map(std::clone::Clone::clone).collect()
}

/// Reads and purges all that the pass under way wants. Answers what it met, from when on purges of it counted, and
/// what has become of it.
fn run(stretches: &mut Stretches, from: &Positions) -> (Vec<Number>, Option<Moment>, Ended) {
    let (mut met, mut counts_from, mut next) = (Vec::new(), None, from[&Partition(0)].0);
    while stretches.reading() {
        if let Some((since, _)) = stretches.meet(place(next)) {
            assert!(stretches.meet(place(next)).is_none(), "met once");
            met.push(next);
            counts_from = Some(since);
            stretches.expect();
        }
        stretches.read(Partition(0), Position(next));
        next += 1;
    }
    for _ in &met {
        assert!(stretches.end().is_none(), "its purges are under way");
        stretches.landed();
    }
    (met, counts_from, stretches.end().expect("it is over"))
}

#[test]
fn a_stretch_is_read_again_after_each_delay_and_then_final() {
    let mut stretches = stretches();
    (5..=9).for_each(|number| stretches.join(place(number), at(number), Need::Passes, seconds(0)));
    assert_eq!((stretches.numbers(), stretches.ranges()), (5, 1));
    for delay in DELAYS {
        stretches.advance(None, seconds(2));
        let (due, early) = (seconds(delay), Moment::from_millis(delay * 1_000 - 1));
        assert!(stretches.begin(None, early).is_none());
        let from = stretches.begin(None, due).expect("it is due");
        assert!(stretches.begin(None, due).is_none(), "one at a time");
        let (met, since, ended) = run(&mut stretches, &from);
        assert_eq!((met, since), ((5..=9).collect(), Some(seconds(delay))));
        let finished = if delay == 65 { (5..=9).collect() } else { Vec::new() };
        assert_eq!(numbers(&ended.finished), finished);
        assert!(ended.unmet.is_empty());
    }
    assert!(stretches.is_empty());
}

#[test]
fn a_late_pass_stands_for_all_that_were_due() {
    let mut stretches = stretches();
    stretches.join(place(1), at(1), Need::Passes, seconds(0));
    stretches.advance(None, seconds(70));
    let from = stretches.begin(None, seconds(70)).expect("it is due");
    let (_, since, ended) = run(&mut stretches, &from);
    assert_eq!((since, numbers(&ended.finished)), (Some(seconds(65)), vec![1]));
}

#[test]
fn passes_count_from_when_the_inner_lane_has_settled_too() {
    let mut stretches = stretches();
    (1..=3).for_each(|number| stretches.join(place(number), at(number), Need::Inner, seconds(0)));
    for (second, settled) in [(100, 2), (200, 3)] {
        let applied = |_| settled;
        assert!(stretches.advance(Some(&applied), seconds(second)).is_empty());
    }
    assert!(stretches.begin(None, seconds(200)).is_none());
    assert!(stretches.begin(None, seconds(201)).is_some());
}

#[test]
fn the_last_pass_waits_for_the_inner_lanes_last() {
    let mut stretches = stretches();
    stretches.join(place(4), at(4), Need::LastPass, seconds(100));
    stretches.advance(None, seconds(102));
    let final_up_to = |number| move |_: LineId| number;
    assert!(stretches.begin(Some(&final_up_to(3)), seconds(102)).is_none());
    let due = |stretches: &Stretches, number| {
        stretches.next_due(Some(&final_up_to(number)), seconds(102)).is_some()
    };
    assert!(!due(&stretches, 3) && due(&stretches, 4), "nobody wakes for what waits for another");
    let from = stretches.begin(Some(&final_up_to(4)), seconds(102)).expect("it is due");
    let (_, since, ended) = run(&mut stretches, &from);
    assert_eq!((since, numbers(&ended.finished)), (Some(seconds(102)), vec![4]));
}

#[test]
fn without_later_passes_what_the_inner_lane_has_settled_is_final() {
    let mut stretches = Stretches::new(Vec::new());
    stretches.join(place(4), at(4), Need::Inner, seconds(0));
    assert!(stretches.advance(Some(&|_| 3), seconds(9)).is_empty());
    assert_eq!(numbers(&stretches.advance(Some(&|_| 4), seconds(9))), [4]);
    assert!(stretches.is_empty());
}

#[test]
fn what_the_log_does_not_hold_any_more_is_told() {
    let mut stretches = stretches();
    (5..=9).for_each(|number| stretches.join(place(number), at(number), Need::Passes, seconds(0)));
    stretches.advance(None, seconds(65));
    stretches.begin(None, seconds(65)).expect("it is due");
    for number in [5, 6, 9] {
        stretches.meet(place(number)).expect("it is there");
        stretches.read(Partition(0), Position(number));
    }
    let ended = stretches.end().expect("it is over");
    assert_eq!((numbers(&ended.finished), numbers(&ended.unmet)), (vec![5, 6, 9], vec![7, 8]));
}

#[test]
fn a_log_that_begins_anew_ends_the_pass() {
    let mut stretches = stretches();
    stretches.join(place(50), at(50), Need::Passes, seconds(0));
    stretches.advance(None, seconds(65));
    stretches.begin(None, seconds(65)).expect("it is due");
    stretches.read(Partition(0), Position(0));
    assert_eq!(numbers(&stretches.end().expect("it is over").unmet), [50]);
}

#[test]
fn however_much_joins_only_so_many_are_held() {
    let mut stretches = stretches();
    for second in 0..3 * STRETCHES_MAX as u64 {
        for number in second * 10..second * 10 + 10 {
            stretches.join(place(number), at(number), Need::Passes, seconds(2 * second));
        }
        stretches.advance(None, seconds(2 * second + 2));
    }
    assert!(stretches.waiting.len() <= STRETCHES_MAX);
    assert_eq!(stretches.numbers(), 30 * STRETCHES_MAX as u64);
    assert_eq!(stretches.lowest(Partition(0)).map(|(lowest, _)| lowest), Some(Position(0)));
}

proptest! {
    /// Whatever joins when, and however late the passes come: nothing is final before a pass that began at its last
    /// delay or later, and everything is in the end.
    #[test]
    fn nothing_is_final_before_its_last_pass(
        waits in prop::collection::vec((0u64..9, any::<bool>()), 1..60),
        slowness in 1u64..40,
    ) {
        let mut stretches = stretches();
        let (mut now, mut joined, mut applied) = (0, Vec::new(), 0);
        let mut finished = Vec::new();
        let count = waits.len() as u64;
        let idle = std::iter::repeat_n((slowness, true), 300);
        for (wait, inner) in waits.into_iter().chain(idle) {
            now += wait;
            if (joined.len() as u64) < count {
                let number = joined.len() as u64 + 1;
                let need = if inner { Need::Passes } else { Need::Inner };
                stretches.join(place(number), at(number), need, seconds(now));
                joined.push(now);
            }
            if inner {
                applied = joined.len() as u64;
            }
            stretches.advance(Some(&|_| applied), seconds(now));
            if let Some(from) = stretches.begin(None, seconds(now)) {
                let (_, _, ended) = run(&mut stretches, &from);
                for number in numbers(&ended.finished) {
                    prop_assert!(now >= joined[usize::try_from(number).expect("small") - 1] + 65);
                    prop_assert!(number <= applied);
                    finished.push(number);
                }
            }
        }
        finished.sort_unstable();
        prop_assert_eq!(finished, (1..=count).collect::<Vec<_>>());
        prop_assert!(stretches.is_empty());
    }
}
