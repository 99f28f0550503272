//! When a shared cache is flushed, and when others have made up for that.

use std::collections::BTreeSet;
use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::{LineId, Outcome, ResumeHint};
use uuid::Uuid;

use super::super::{Purpose, samples};
use super::*;
use crate::config::LaneConfig;
use crate::driver::Fetches;

const TEMPLATE: &str = "keys.key={site}:{key}";
const DUE: Moment = Duration::from_secs(100);
const DAY: Duration = Duration::from_hours(24);
/// How a number may end without a purge of its own.
const ENDS: [Outcome; 4] =
    [Outcome::Covered, Outcome::Flushed, Outcome::Expired, Outcome::Cancelled];

fn line_id() -> LineId {
    LineId::from_bytes([3; 16])
}

fn purpose() -> Purpose {
    let config = LaneConfig {
        shared: true,
        flush_spread: Duration::ZERO,
        hole_deadline: Duration::from_mins(1),
        ..LaneConfig::default()
    };
    let parts = [TEMPLATE.to_owned()].into();
    Purpose { parts, ..samples::purpose(config, Vec::new()) }
}

fn later(time: Duration) -> Timestamp {
    Timestamp::UNIX_EPOCH + time
}

/// The cursor of a lane of the same cache that has purged the numbers up to 3, at that time.
fn theirs(time: Timestamp) -> Cursor {
    let rng = fastrand::Rng::with_seed(1);
    let empty = Machine::new(purpose(), None, None, rng, Moment::ZERO).cursor();
    let line = LineCursor {
        line: line_id(),
        base: 0,
        floor: 3,
        settled: Vec::new(),
        refused: Vec::new(),
        exceptions: Vec::new(),
    };
    Cursor {
        lines: vec![line],
        hints: vec![ResumeHint { partition: 0, position: 7, time }],
        ..empty
    }
}

/// A lane that goes on from there, with the log as it is at `time`.
fn lane_from(cursor: &Cursor, time: Timestamp) -> Machine {
    let rng = fastrand::Rng::with_seed(1);
    let mut lane = Machine::new(purpose(), Some(cursor), None, rng, Moment::ZERO);
    lane.begin_asking_others();
    lane.begin(&Bounds::new(), time, Moment::ZERO);
    lane.able(samples::abilities(100), Moment::ZERO);
    let heartbeat = samples::heartbeat(vec![(line_id(), 3)]);
    lane.hear(heartbeat, samples::located(7, time), Moment::ZERO).expect("fit to be heard");
    lane
}

/// A lane that lacks number 2 for so long that it has to flush.
fn lacking() -> Machine {
    let mut cursor = theirs(Timestamp::UNIX_EPOCH);
    cursor.lines[0].floor = 1;
    cursor.lines[0].settled = vec![NumberRange { first: 3, last: 3 }];
    let mut lane = lane_from(&cursor, Timestamp::UNIX_EPOCH);
    lane.tick(DUE);
    lane
}

/// Whether it flushes now.
fn flushes(lane: &mut Machine, now: Moment) -> bool {
    lane.tick(now);
    let job = lane.take(now);
    if let Some(job) = &job {
        lane.done(job.id, Ok(Fetches::Unfenced), now);
        lane.tick(now);
    }
    job.is_some()
}

#[test]
fn what_others_have_purged_is_not_flushed_for() {
    let mut lane = lacking();
    assert!(!flushes(&mut lane, DUE) && lane.deadline(DUE).is_none_or(|at| at > DUE));
    assert!(lane.asks_others(DUE) && !lane.asks_others(DUE), "once");
    assert!(!flushes(&mut lane, DUE), "not before they have told");
    assert_eq!(lane.others_told(vec![theirs(Timestamp::UNIX_EPOCH)], DUE), None);
    assert!(!flushes(&mut lane, DUE) && !flushes(&mut lane, 2 * DUE));
    assert_eq!(
        (lane.flush_cause(), lane.hard_flushes()),
        (None, 1),
        "whoever comes after it flushes"
    );
    let [told] = &lane.report(DUE).lines[..] else { panic!("one line") };
    assert_eq!((told.applied, told.finished), (3, 3));
    assert_eq!(told.exceptions, [(NumberRange { first: 2, last: 2 }, Outcome::Covered)]);
}

#[test]
fn whatever_others_have_not_done_is_flushed_for() {
    let changes: [fn(&mut Cursor); 11] = [
        |cursor| cursor.region = "elsewhere".parse().expect("a name"),
        |cursor| cursor.sites.clear(),
        |cursor| cursor.hosts.clear(),
        |cursor| cursor.hosts.values_mut().for_each(BTreeSet::clear),
        |cursor| cursor.parts.clear(),
        |cursor| cursor.behind = true,
        |cursor| cursor.lines[0].refused = vec![(3, String::new()), (2, String::new())],
        |cursor| {
            let two = NumberRange { first: 2, last: 2 };
            cursor.lines[0].exceptions = vec![(two, Outcome::Cancelled)];
        },
        |cursor| cursor.lines[0].base = 2,
        |cursor| cursor.lines[0].floor = 1,
        |cursor| cursor.lines.clear(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut lane = lacking();
        let mut cursor = theirs(Timestamp::UNIX_EPOCH);
        change(&mut cursor);
        assert!(lane.asks_others(DUE));
        assert_eq!(lane.others_told(vec![cursor], DUE), None);
        assert!(flushes(&mut lane, DUE), "change {at}");
        assert!(!lane.asks_others(DUE), "nothing is due");
    }
}

#[test]
fn they_are_asked_again_for_the_next_flush() {
    let mut lane = lacking();
    assert!(lane.asks_others(DUE));
    lane.others_told(Vec::new(), DUE);
    assert!(flushes(&mut lane, DUE));
    let (next, now) = (samples::heartbeat(vec![(line_id(), 5)]), 2 * DUE);
    lane.hear(next, samples::located(8, Timestamp::UNIX_EPOCH), now).expect("fit to be heard");
    lane.tick(now + DUE);
    assert!(!flushes(&mut lane, now + DUE) && lane.asks_others(now + DUE));
}

#[test]
fn a_lane_that_nobody_can_tell_anything_flushes_at_once() {
    let mut lane = lacking();
    lane.others = None;
    assert!(!lane.asks_others(DUE) && flushes(&mut lane, DUE));
}

#[test]
fn a_cache_that_does_not_answer_is_asked_again_and_one_that_refuses_is_flushed() {
    let mut lane = lacking();
    assert!(lane.asks_others(DUE));
    let error = String::new();
    lane.others_unheard(Failure::Unavailable { after: Some(DUE), error: error.clone() }, DUE);
    assert!(!flushes(&mut lane, DUE) && !lane.asks_others(DUE), "it is left alone");
    let again = lane.again_at();
    assert!(lane.ask(again));
    lane.able(samples::abilities(100), again);
    assert!(!flushes(&mut lane, again) && lane.asks_others(again));
    lane.others_unheard(Failure::Refused { error, exchange: None }, again);
    assert!(flushes(&mut lane, again));
}

#[test]
fn a_lane_with_something_new_goes_on_from_the_latest_cursor_that_knows_it() {
    let mut before = theirs(later(DAY));
    before.parts.clear();
    let own = (Uuid::from_u128(1), later(DAY));
    before.obeyed = vec![own];
    let asked = || {
        let mut lane = lane_from(&before, later(DAY));
        lane.tick(Moment::ZERO);
        assert!(lane.asks_others(Moment::ZERO));
        lane
    };
    let order = |id| (Uuid::from_u128(id), later(DAY));
    let latest = Cursor { obeyed: vec![order(0), order(1)], ..theirs(later(2 * DAY)) };
    let lacking = Cursor { parts: BTreeSet::new(), ..theirs(later(3 * DAY)) };
    let told = vec![theirs(later(DAY)), latest.clone(), lacking];
    let expected = Cursor { obeyed: vec![order(0), own], ..latest };
    assert_eq!(asked().others_told(told, Moment::ZERO), Some(expected));
    let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
    for (age, found) in [(hour, true), (hour + second, false)] {
        let cursor =
            asked().others_told(vec![theirs(later(DAY.saturating_sub(age)))], Moment::ZERO);
        assert_eq!(cursor.is_some(), found, "so old that much of the log were purged again");
    }
}

#[test]
fn who_was_away_goes_on_from_the_cursor_of_one_who_was_not() {
    // The log of an hour is told of for a day longer.
    for (there, found) in [(7 * DAY, false), (8 * DAY, true), (9 * DAY, true)] {
        let mut lane = lane_from(&theirs(Timestamp::UNIX_EPOCH), later(9 * DAY));
        assert_eq!(lane.flush_cause(), Some(Cause::Away));
        lane.tick(Moment::ZERO);
        assert!(lane.asks_others(Moment::ZERO));
        let cursor = lane.others_told(vec![theirs(later(there))], Moment::ZERO);
        assert_eq!(cursor.is_some(), found);
        assert!(flushes(&mut lane, Moment::ZERO), "it has not gone on from there");
    }
}

#[test]
fn who_share_a_cache_do_not_all_flush_what_is_new_at_once() {
    let mut before = theirs(Timestamp::UNIX_EPOCH);
    before.parts.clear();
    let due = |seed| {
        let mut purpose = purpose();
        purpose.config.flush_spread = Duration::from_mins(10);
        let rng = fastrand::Rng::with_seed(seed);
        let mut lane = Machine::new(purpose, Some(&before), None, rng, Moment::ZERO);
        lane.begin_asking_others();
        lane.flush_at().expect("a flush")
    };
    let due: BTreeSet<Moment> = (0..9).map(due).collect();
    assert!(due.len() == 9 && due.iter().all(|at| *at <= Duration::from_secs(30)), "{due:?}");
}

proptest! {
    #[test]
    fn final_is_what_was_settled_after_the_base_and_no_dead_letter(
        base in 0u64..10,
        more in 0u64..10,
        settled in prop::collection::vec((1u64..40, 0u64..5), 0..5),
        refused in prop::collection::vec(1u64..40, 0..5),
        ended in prop::collection::vec((1u64..40, 0u64..5, prop::sample::select(&ENDS[..])), 0..5),
    ) {
        let settled: Vec<_> =
            settled.into_iter().map(|(first, more)| NumberRange { first, last: first + more }).collect();
        let line = LineCursor {
            line: line_id(),
            base,
            floor: base + more,
            settled: settled.clone(),
            refused: refused.iter().map(|number| (*number, String::new())).collect(),
            exceptions: ended
                .iter()
                .map(|(first, more, outcome)| {
                    (NumberRange { first: *first, last: first + more }, *outcome)
                })
                .collect(),
        };
        for number in 0..50 {
            let done = number <= line.floor || settled.iter().any(|range| range.contains(number));
            let left = line.exceptions.iter().any(|(range, outcome)| {
                range.contains(number) && matches!(outcome, Outcome::Expired | Outcome::Cancelled)
            });
            let expected = number > base && done && !refused.contains(&number) && !left;
            prop_assert_eq!(finals(&line).contains(&number), expected, "{}", number);
        }
    }
}
