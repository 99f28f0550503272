//! Dead letters.

use schemas::{DeadLetter, Exchange, KeptLetter, LetterState, Mode, Place};
use uuid::Uuid;

use super::frames::selectors;
use super::{line, range, text, time};

pub(crate) fn letter() -> KeptLetter {
    let letter = DeadLetter {
        id: Uuid::from_u128(0x5f1d_0000_0000_4000_8000_0000_0000_0002),
        site: text("main"),
        selector: selectors().swap_remove(2),
        mode: Mode::Soft,
        reason: "the cache answered 405 Not Allowed".into(),
        first_seen: time("2026-11-21T10:00:00.25Z"),
        last_tried: time("2026-11-21T10:05:00Z"),
        tries: 2,
        state: LetterState::Retrying,
        place: Place { line: line(0x22), number: 4 },
        invalidations: 3,
        exchange: None,
    };
    let numbers = vec![(line(0x11), range(69_011, 69_012)), (line(0x22), range(4, 4))];
    KeptLetter { letter, numbers }
}

pub(crate) fn letter_with_exchange() -> KeptLetter {
    let mut kept = letter();
    let answer = b"Server: Varnish\r\n\r\n\x1b[31mno\xff";
    kept.letter.exchange = Some(Exchange::new(b"HTTP/1.1 405 Not Allowed", answer));
    kept
}

pub(crate) fn letter_with_status() -> KeptLetter {
    let mut kept = letter_with_exchange();
    kept.letter.exchange = kept.letter.exchange.map(Exchange::without_answer);
    kept
}
