//! Which numbers a lane still leaves when a human cancels them.

use std::time::Duration;

use jiff::Timestamp;
use schemas::{ChosenLetters, LineId, NumberRange, Priority, Selector};
use uuid::Uuid;

use super::super::{Failure, Job, samples};
use super::*;
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::Fetches;

const SECOND: Duration = Duration::from_secs(1);

fn place(number: u64) -> Place {
    Place { line: LineId::from_bytes([1; 16]), number }
}

fn tag(name: &str) -> Selector {
    Selector::Tag(name.parse().expect("a tag"))
}

fn lane() -> (Machine, Moment) {
    let config = LaneConfig { starts_empty: true, ..LaneConfig::default() };
    samples::lane(samples::purpose(config, vec![SECOND]))
}

fn hear(lane: &mut Machine, number: u64, selectors: Vec<Selector>, now: Moment) {
    let frame = samples::frame(place(number).line, number, selectors);
    let at = samples::located(usize::try_from(number).expect("small"), Timestamp::UNIX_EPOCH);
    lane.hear(frame, at, now).expect("fit to be heard");
    lane.tick(now);
}

fn cancel_in(lane: &mut Machine, numbers: &[u64], priority: Priority, now: Moment) {
    let order = |number: &u64| Bidding {
        id: Uuid::from_u128((*number).into()),
        expires_at: Timestamp::MAX,
        what: Bidden::Cancel { place: place(*number), priority },
    };
    lane.heed(numbers.iter().map(order).collect(), now);
    lane.tick(now);
}

fn cancel(lane: &mut Machine, numbers: &[u64], now: Moment) {
    cancel_in(lane, numbers, Priority::Normal, now);
}

/// The numbers that ended so, and the floors.
fn cancelled(lane: &mut Machine, now: Moment) -> (Vec<NumberRange>, u64, u64) {
    let told = lane.report(now).lines.remove(0);
    let ended = told.exceptions.iter().filter(|(_, outcome)| *outcome == Outcome::Cancelled);
    (ended.map(|(range, _)| *range).collect(), told.applied, told.finished)
}

fn sent(job: &Job) -> Vec<Selector> {
    job.batch.purges.iter().map(|purge| purge.selector.clone()).collect()
}

const fn only(number: u64) -> NumberRange {
    NumberRange { first: number, last: number }
}

fn down() -> Failure {
    Failure::Unavailable { after: None, error: "down".into() }
}

/// The first is on its way, so that what comes after it waits.
fn busy() -> (Machine, Moment, [Job; 2]) {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, vec![tag("a")], now);
    let one = lane.take(now).expect("a batch");
    hear(&mut lane, 2, vec![tag("b")], now);
    let two = lane.take(now + SECOND).expect("a batch");
    (lane, now + SECOND, [one, two])
}

#[test]
fn what_waits_is_left_for_good_and_what_has_begun_is_purged() {
    let (mut lane, now, jobs) = busy();
    hear(&mut lane, 3, vec![tag("c"), tag("d")], now);
    hear(&mut lane, 4, vec![tag("d")], now);
    cancel(&mut lane, &[2, 3], now);
    assert_eq!(cancelled(&mut lane, now), (vec![only(3)], 0, 0));
    for job in jobs {
        lane.done(job.id, Ok(Fetches::Unfenced), now);
    }
    let rest = lane.take(now + SECOND).expect("what the fourth needs");
    assert_eq!(sent(&rest), [tag("d")], "and nobody else");
    assert_eq!(cancelled(&mut lane, now), (vec![only(3)], 3, 0));
}

#[test]
fn a_number_of_which_a_part_is_on_its_way_is_purged_whole() {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, vec![tag("a")], now);
    let first = lane.take(now).expect("a batch");
    lane.done(first.id, Ok(Fetches::Unfenced), now);
    let many = (0..150).map(|name| tag(&format!("t{name}"))).collect();
    hear(&mut lane, 2, many, now);
    let part = lane.take(now).expect("a part");
    cancel(&mut lane, &[2], now);
    lane.done(part.id, Ok(Fetches::Unfenced), now);
    cancel(&mut lane, &[], now);
    cancel(&mut lane, &[2], now);
    assert_eq!(cancelled(&mut lane, now), (vec![], 1, 0), "nor once a part is purged");
    let rest = lane.take(now + SECOND).expect("the rest");
    assert_eq!(sent(&rest).len(), 50);
}

#[test]
fn what_would_have_ridden_on_a_cancelled_number_goes_by_itself() {
    let (mut lane, now, _) = busy();
    hear(&mut lane, 3, vec![Selector::Everything], now);
    hear(&mut lane, 4, vec![tag("c")], now);
    cancel(&mut lane, &[3], now);
    for id in [1, 2] {
        lane.done(id, Err(down()), now);
    }
    let next = lane.take(now + 60 * SECOND).expect("all that waits");
    assert_eq!(sent(&next), [tag("a"), tag("b"), tag("c")]);
}

#[test]
fn what_is_cancelled_before_it_is_heard_is_left_when_it_comes_and_told_as_obeyed_then() {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, vec![tag("a")], now);
    cancel(&mut lane, &[2], now);
    assert!(lane.obeyed().is_empty());
    hear(&mut lane, 2, vec![tag("b"), tag("c")], now);
    assert_eq!(lane.obeyed(), [Uuid::from_u128(2)]);
    assert_eq!(cancelled(&mut lane, now), (vec![only(2)], 0, 0));
    assert_eq!(lane.sizes().unsettled, 1);
    let job = lane.take(now).expect("a batch");
    assert_eq!(sent(&job), [tag("a")]);
}

#[test]
fn what_has_not_met_its_cache_is_left_and_what_is_of_another_lane_is_not() {
    let config = LaneConfig { starts_empty: true, ..LaneConfig::default() };
    let purpose = samples::purpose(config, Vec::new());
    let mut lane = Machine::new(purpose, None, None, fastrand::Rng::with_seed(1), Moment::ZERO);
    let now = SECOND;
    hear(&mut lane, 1, vec![tag("a")], now);
    hear(&mut lane, 2, vec![tag("b"), tag("c")], now);
    cancel_in(&mut lane, &[2], Priority::Critical, now);
    assert_eq!(lane.sizes().unsettled, 2);
    cancel(&mut lane, &[2], now);
    assert_eq!(lane.sizes().unsettled, 1);
    assert!(lane.ask(now));
    lane.able(samples::abilities(9), now);
    assert_eq!(sent(&lane.take(now).expect("a batch")), [tag("a")]);
}

#[test]
fn the_next_life_tells_what_an_earlier_one_has_left() {
    let (mut lane, now) = lane();
    cancel(&mut lane, &[1, 3], now);
    for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
        hear(&mut lane, number, vec![tag(name)], now);
    }
    let cursor = lane.cursor();
    let purpose = lane.purpose.clone();
    let mut next = Machine::new(purpose, Some(&cursor), None, fastrand::Rng::with_seed(2), now);
    assert_eq!(cancelled(&mut next, now), (vec![only(1), only(3)], 1, 1));
}

#[test]
fn what_was_on_its_way_and_failed_is_left_too() {
    let (mut lane, now, [one, two]) = busy();
    cancel(&mut lane, &[1, 2], now);
    assert_eq!(cancelled(&mut lane, now).0, []);
    lane.done(two.id, Err(down()), now);
    assert_eq!(cancelled(&mut lane, now), (vec![only(2)], 0, 0));
    lane.done(one.id, Ok(Fetches::Unfenced), now);
    assert_eq!(cancelled(&mut lane, now), (vec![only(2)], 2, 0));
    assert_eq!(lane.take(now + 60 * SECOND), None);
}

#[test]
fn what_was_refused_in_part_and_cancelled_for_the_rest_was_not_purged_once_its_letter_is() {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, vec![tag("bad")], now);
    let first = lane.take(now).expect("a batch");
    hear(&mut lane, 2, vec![tag("bad"), tag("good")], now);
    let refused = || Err(Failure::Refused { error: "no".into(), exchange: None });
    lane.done(first.id, refused(), now);
    // Refused once more, and then in halves.
    for _ in 0..2 {
        let job = lane.take(now).expect("a batch");
        lane.done(job.id, refused(), now);
    }
    let good = lane.take(now).expect("the other half");
    assert_eq!(sent(&good), [tag("good")]);
    cancel(&mut lane, &[2], now);
    lane.done(good.id, Err(down()), now);
    assert_eq!(cancelled(&mut lane, now), (vec![only(2)], 2, 2));
    let retry = Bidden::Retry { letters: ChosenLetters::default() };
    lane.heed(vec![Bidding { id: Uuid::nil(), expires_at: Timestamp::MAX, what: retry }], now);
    let mut now = now + 60 * SECOND;
    for _ in 0..2 {
        lane.tick(now);
        let again = lane.take(now).expect("the letter, and its later pass");
        assert_eq!(sent(&again), [tag("bad")]);
        lane.done(again.id, Ok(Fetches::Unfenced), now);
        now += 2 * SECOND;
    }
    assert_eq!(lane.sizes().dead_letters, 0);
    let told = lane.report(now).lines.remove(0).exceptions;
    assert_eq!(told, [(only(2), Outcome::Cancelled)]);
}
