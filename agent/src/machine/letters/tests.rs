//! A lane at the bound of its dead letters.

use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use schemas::{ChosenLetters, LineId, Selector};
use uuid::Uuid;

use super::super::{Failure, Machine, samples};
use super::*;
use crate::config::LaneConfig;
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
        lane.done(job.id, Err(Failure::Refused { error: REFUSED.to_owned() }), now);
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
    lane.refuse(&purge, &[place], &"ü".repeat(10_000), Moment::ZERO);
    assert_eq!(lane.kept_letters()[0].letter.reason, "ü".repeat(256));
}
