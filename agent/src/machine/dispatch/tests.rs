//! What a soft purge says of a hard one of the same selector: nothing.

use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use schemas::{LineId, LogMessage, Mode, NumberRange, Selector};

use super::super::samples;
use super::*;
use crate::config::LaneConfig;
use crate::driver::Fetches;

const SECOND: Duration = Duration::from_secs(1);

/// A lane with one later pass, whose cache can mark stale.
fn lane() -> Machine {
    let config = LaneConfig { starts_empty: true, ..LaneConfig::default() };
    let purpose = samples::purpose(config, vec![SECOND]);
    let rng = fastrand::Rng::with_seed(1);
    let mut lane = Machine::new(purpose, None, None, rng, Moment::ZERO);
    lane.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
    lane.tick(3 * SECOND);
    assert!(lane.ask(3 * SECOND));
    lane.able(Abilities { soft: true, ..samples::abilities(9) }, 3 * SECOND);
    lane
}

/// Hears of the one tag, and sends it.
fn sent(lane: &mut Machine, number: u64, mode: Mode, now: Moment) -> Job {
    let tag = Selector::Tag("a".parse().expect("a tag"));
    let frame = samples::frame(LineId::from_bytes([1; 16]), number, vec![tag]);
    let LogMessage::Frame(mut frame) = frame else { panic!("a frame") };
    frame.invalidations[0].mode = mode;
    let at = samples::located(usize::try_from(number).expect("small"), Timestamp::UNIX_EPOCH);
    lane.hear(LogMessage::Frame(frame), at, now).expect("fit to be heard");
    lane.tick(now);
    let job = lane.take(now + SECOND / 10).expect("a batch");
    assert_eq!(job.batch.purges[0].mode, mode);
    job
}

fn floors(lane: &mut Machine, now: Moment) -> (u64, u64) {
    let told = lane.report(now).lines.remove(0);
    (told.applied, told.finished)
}

#[test]
fn a_soft_purge_neither_settles_nor_finishes_a_hard_one_that_failed() {
    let (mut lane, mut now) = (lane(), 3 * SECOND);
    let soft = sent(&mut lane, 1, Mode::Soft, now);
    let hard = sent(&mut lane, 2, Mode::Hard, now);
    let down = Failure::Unavailable { after: None, error: "down".to_owned() };
    lane.done(hard.id, Err(down), now);
    lane.done(soft.id, Ok(Fetches::Unfenced), now);
    assert_eq!(floors(&mut lane, now), (1, 0));
    for finished in [(2, 1), (2, 2)] {
        // What was soft is due again too, and rides on what is hard.
        now += 70 * SECOND;
        lane.tick(now);
        let again = lane.take(now).expect("a batch");
        assert_eq!(again.batch, hard.batch);
        lane.done(again.id, Ok(Fetches::Unfenced), now);
        assert_eq!(floors(&mut lane, now), finished);
    }
}

#[test]
fn a_hard_purge_that_is_refused_is_a_dead_letter_whatever_became_of_the_soft_one() {
    let (mut lane, now) = (lane(), 3 * SECOND);
    let soft = sent(&mut lane, 1, Mode::Soft, now);
    let hard = sent(&mut lane, 2, Mode::Hard, now);
    lane.done(soft.id, Ok(Fetches::Unfenced), now);
    lane.done(hard.id, Err(Failure::Refused { error: "no".to_owned(), exchange: None }), now);
    let exceptions = lane.report(now).lines.remove(0).exceptions;
    assert_eq!(exceptions, [(NumberRange { first: 2, last: 2 }, Outcome::Refused)]);
}
