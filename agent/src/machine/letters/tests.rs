//! A lane at the bound of its dead letters.

use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use schemas::{ChosenLetters, LineId, Selector};
use uuid::Uuid;

use super::super::{Failure, Job, Machine, samples};
use super::*;
use crate::config::LaneConfig;
use crate::driver::Fetches;
use crate::letters::LETTERS_MAX;

const LINE: [u8; 16] = [1; 16];
/// Refused one by one, in batches of one.
const REFUSED: &str = "no";

fn lane() -> Machine {
    let config = LaneConfig { starts_empty: true, window: 50, ..LaneConfig::default() };
    let purpose = samples::purpose(config, Vec::new());
    let mut lane = Machine::new(purpose, None, None, fastrand::Rng::with_seed(1), Moment::ZERO);
    lane.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
    let now = Duration::from_secs(3);
    lane.tick(now);
    assert!(lane.ask(now));
    lane.able(samples::abilities(1), now);
    lane
}

/// Hears of a tag of its own for each number up to `last`, as far as there is room, and the cache refuses every one.
/// Answers the last number heard.
fn refuse_up_to(lane: &mut Machine, heard: &mut u64, last: u64, now: Moment) {
    loop {
        while *heard < last && lane.room() > 0 {
            *heard += 1;
            let tag = Selector::Tag(format!("t{heard}").parse().expect("a tag"));
            let at =
                samples::located(usize::try_from(*heard).expect("small"), Timestamp::UNIX_EPOCH);
            let frame = samples::frame(LineId::from_bytes(LINE), *heard, vec![tag]);
            lane.hear(frame, at, now).expect("fit to be heard");
        }
        lane.tick(now);
        let Some(job) = lane.take(now) else { return };
        lane.done(job.id, Err(Failure::Refused { error: REFUSED.to_owned(), exchange: None }), now);
    }
}

#[test]
fn at_the_bound_the_lane_stops_says_so_and_loses_nothing() {
    let mut lane = lane();
    let (mut heard, mut now) = (0, Duration::from_secs(4));
    let wanted = LETTERS_MAX as u64 + 20;
    refuse_up_to(&mut lane, &mut heard, wanted, now);
    assert_eq!(lane.sizes().dead_letters, LETTERS_MAX);
    assert_eq!(lane.room(), 0);
    let report = lane.report(now);
    assert_eq!((report.dead_letters.count, report.dead_letters.newest.len()), (10_000, 100));
    assert!(report.last_error.is_some_and(|error| error.contains("10000 dead letters")));
    assert_eq!(report.lines[0].applied, LETTERS_MAX as u64, "no floor passes what is in doubt");

    let letters = ChosenLetters::default();
    let what = Bidden::Drop { letters, before: Timestamp::UNIX_EPOCH };
    lane.heed(vec![Bidding { id: Uuid::from_u128(1), expires_at: Timestamp::MAX, what }], now);
    now += Duration::from_mins(1);
    lane.tick(now);
    assert_eq!(lane.sizes().dead_letters, 0);
    if lane.ask(now) {
        lane.able(samples::abilities(1), now);
    }
    refuse_up_to(&mut lane, &mut heard, wanted, now);
    assert_eq!(lane.report(now).lines[0].applied, wanted);
    assert_eq!(lane.sizes().dead_letters, 20);
}

/// Every odd number asks for a tag that is refused, every even one for one of its own.
fn hear_by_turns(lane: &mut Machine, number: u64, now: Moment) {
    let tag = if number % 2 == 1 { "bad".to_owned() } else { format!("t{number}") };
    let tag = Selector::Tag(tag.parse().expect("a tag"));
    let at = samples::located(usize::try_from(number).expect("small"), Timestamp::UNIX_EPOCH);
    let frame = samples::frame(LineId::from_bytes(LINE), number, vec![tag]);
    lane.hear(frame, at, now).expect("fit to be heard");
}

fn answer(lane: &mut Machine, job: &Job, now: Moment) {
    let refused = job.batch.purges[0].selector.to_string() == "tag bad";
    let refusal = Failure::Refused { error: REFUSED.to_owned(), exchange: None };
    lane.done(job.id, if refused { Err(refusal) } else { Ok(Fetches::Unfenced) }, now);
}

/// Hears up to `last`, as far as there is room, and the cache answers all.
fn refuse_every_other(lane: &mut Machine, heard: &mut u64, last: u64, now: Moment) {
    loop {
        while *heard < last && lane.room() > 0 {
            *heard += 1;
            hear_by_turns(lane, *heard, now);
        }
        lane.tick(now);
        let Some(job) = lane.take(now) else { return };
        answer(lane, &job, now);
    }
}

#[test]
fn a_letter_that_stands_for_too_many_pieces_stops_the_lane_which_says_so_and_loses_nothing() {
    let mut lane = lane();
    let (mut heard, mut now) = (0, Duration::from_secs(4));
    refuse_every_other(&mut lane, &mut heard, 2 * 9_999, now);
    // Two batches are under way when it gets full.
    hear_by_turns(&mut lane, 19_999, now);
    let one = lane.take(now).expect("a batch");
    hear_by_turns(&mut lane, 20_000, now);
    hear_by_turns(&mut lane, 20_001, now);
    now += Duration::from_secs(1);
    let good = lane.take(now).expect("a batch");
    answer(&mut lane, &good, now);
    let other = lane.take(now).expect("a batch");
    assert!(lane.room() > 0);
    answer(&mut lane, &one, now);
    answer(&mut lane, &other, now);
    let report = lane.report(now);
    let letter = &report.dead_letters.newest[0];
    assert_eq!((report.dead_letters.count, letter.invalidations, lane.room()), (1, 10_000, 0));
    let error = report.last_error.expect("it says why");
    assert!(error.contains("tag bad") && error.contains("in 10000 pieces"), "{error}");
    assert!(error.contains(&letter.id.to_string()), "{error}");
    assert_eq!(report.lines[0].applied, 20_000, "no floor passes what is in doubt");

    let letters = ChosenLetters::default();
    let what = Bidden::Drop { letters, before: Timestamp::UNIX_EPOCH };
    lane.heed(vec![Bidding { id: Uuid::from_u128(1), expires_at: Timestamp::MAX, what }], now);
    now += Duration::from_mins(1);
    lane.tick(now);
    if lane.ask(now) {
        lane.able(samples::abilities(1), now);
    }
    heard = 20_001;
    refuse_every_other(&mut lane, &mut heard, 20_100, now);
    let report = lane.report(now);
    assert_eq!((report.lines[0].applied, report.dead_letters.count), (20_100, 1));
    assert_eq!(report.dead_letters.newest[0].invalidations, 50);
}

#[test]
fn a_retry_of_a_letter_that_can_hold_no_more_comes_back_when_it_is_refused() {
    let mut lane = lane();
    let (mut heard, now) = (0, Duration::from_secs(4));
    refuse_every_other(&mut lane, &mut heard, 2 * 10_000 - 1, now);
    let (before, order) = (lane.report(now).dead_letters.newest.remove(0), Uuid::from_u128(1));
    assert_eq!((before.invalidations, lane.room()), (10_000, 0));
    let what = Bidden::Retry { letters: ChosenLetters::default() };
    lane.heed(vec![Bidding { id: order, expires_at: Timestamp::MAX, what }], now);
    lane.tick(now);
    refuse_every_other(&mut lane, &mut heard, 0, now);
    let after = lane.report(now).dead_letters.newest.remove(0);
    assert_eq!((after.tries, after.state), (before.tries + 1, schemas::LetterState::Refused));
}

#[test]
fn changes_that_were_not_stored_come_back() {
    let mut lane = lane();
    let mut heard = 0;
    refuse_up_to(&mut lane, &mut heard, 2, Duration::from_secs(4));
    let changes = lane.take_letter_changes();
    assert_eq!((changes.written.len(), changes.gone.len()), (2, 0));
    assert!(!lane.letters_unstored());
    lane.not_stored(changes.clone());
    assert_eq!(lane.take_letter_changes(), changes);

    let id = changes.written[0].letter.id;
    let ended = lane.letters.drop(id).expect("a letter");
    lane.end_letter(ended);
    let dropped = lane.take_letter_changes();
    assert_eq!((dropped.written.len(), &dropped.gone[..]), (0, &[id][..]));
    lane.not_stored(changes);
    lane.not_stored(dropped);
    let again = lane.take_letter_changes();
    assert_eq!((again.written.len(), &again.gone[..]), (1, &[id][..]));
}

#[test]
fn what_a_cache_says_at_length_is_cut() {
    let mut lane = lane();
    let purge =
        Purge::new("main".parse().expect("a name"), Selector::Everything, schemas::Mode::Hard);
    let place = Place { line: LineId::from_bytes(LINE), number: 1 };
    lane.refuse(&purge, &[place], Why::of(&"ü".repeat(10_000)), Moment::ZERO);
    assert_eq!(lane.kept_letters()[0].letter.reason, "ü".repeat(256));
}
