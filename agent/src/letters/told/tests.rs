//! What of dead letters leaves with a report.

use jiff::Timestamp;
use schemas::{LetterState, LineId, Mode, Place, Selector};
use uuid::Uuid;

use super::*;

/// A letter with a whole answer, tried at that second.
fn letter(second: u8, reason: &str) -> DeadLetter {
    let time = Timestamp::from_second(second.into()).expect("a time");
    let status = "HTTP/1.1 405 Not Allowed";
    DeadLetter {
        id: Uuid::from_u128(second.into()),
        site: "main".parse().expect("a name"),
        selector: Selector::Everything,
        mode: Mode::Hard,
        reason: reason.to_owned(),
        first_seen: time,
        last_tried: time,
        tries: 1,
        state: LetterState::Refused,
        place: Place { line: LineId::from_bytes([1; 16]), number: 1 },
        invalidations: 1,
        exchange: Some(Exchange::new(status.as_bytes(), &[b'x'; 1_024])),
    }
}

/// A lane's letters, newest first, of a lane that has more.
fn letters(seconds: std::ops::Range<u8>, reason: &str) -> DeadLetters {
    let newest = seconds.rev().map(|second| letter(second, reason)).collect();
    DeadLetters { count: 1_000, newest }
}

fn answered(letters: &DeadLetters) -> Vec<i64> {
    let answered = |letter: &&DeadLetter| {
        let exchange = letter.exchange.as_ref().expect("its status line stays");
        assert_eq!(exchange.status(), "HTTP/1.1 405 Not Allowed");
        exchange.answer().is_some()
    };
    letters.newest.iter().filter(answered).map(|letter| letter.last_tried.as_second()).collect()
}

#[test]
fn only_the_answers_of_what_was_tried_last_leave_whichever_lane_has_them() {
    let (mut one, mut other) = (letters(0..100, "no"), letters(90..110, "no"));
    let mut none = DeadLetters::default();
    shorten(vec![&mut one, &mut none, &mut other]);
    assert_eq!((one.newest.len(), other.newest.len()), (100, 20), "all fit without them");
    let (one, other) = (answered(&one), answered(&other));
    assert_eq!(other, (90..110).rev().collect::<Vec<_>>());
    assert_eq!(one, (88..100).rev().collect::<Vec<_>>(), "32 KiB in all");
}

#[test]
fn the_oldest_letters_are_left_out_first_and_stay_counted() {
    let reason = "n".repeat(512);
    let mut lanes = [letters(0..100, &reason), letters(0..100, &reason), letters(0..2, "no")];
    let [one, other, few] = &mut lanes;
    shorten(vec![one, other, few]);
    let bytes: usize = lanes.iter().flat_map(|lane| &lane.newest).map(|it| it.reason.len()).sum();
    assert!((48 * 1_024..128 * 1_024).contains(&bytes), "{bytes}");
    let [one, other, few] = &lanes;
    assert!(one.newest.len() == other.newest.len() && few.newest.len() == 2);
    assert_eq!(one.newest[0].last_tried.as_second(), 99, "the newest is told");
    assert_eq!((one.count, few.count), (1_000, 1_000));

    let mut alone = letters(0..100, &reason);
    shorten(vec![&mut alone]);
    assert_eq!(alone.newest.len(), 100, "once there is room");
}
