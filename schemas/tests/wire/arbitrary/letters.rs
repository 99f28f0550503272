//! Dead letters.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{DeadLetter, DeadLetters, Exchange, KeptLetter, LetterState, Place};
use uuid::Uuid;

use super::{line, mode, name, range, selector, time};

fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let states = &[LetterState::Refused, LetterState::Retrying, LetterState::Purged][..];
    let what = (any::<u128>(), name(), selector(), mode(), any::<String>());
    let when = (time(), time(), any::<u32>(), select(states));
    (what, when, (line(), any::<u64>()), any::<u64>(), option::of(exchange())).prop_map(
        |(
            (id, site, selector, mode, reason),
            (first_seen, last_tried, tries, state),
            (line, number),
            invalidations,
            exchange,
        )| DeadLetter {
            id: Uuid::from_u128(id),
            site,
            selector,
            mode,
            reason,
            first_seen,
            last_tried,
            tries,
            state,
            place: Place { line, number },
            invalidations,
            exchange,
        },
    )
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (any::<String>(), any::<String>(), any::<bool>()).prop_map(|(status, answer, left_out)| {
        let exchange = Exchange::new(status.as_bytes(), answer.as_bytes());
        if left_out { exchange.without_answer() } else { exchange }
    })
}

pub(super) fn kept_letter() -> impl Strategy<Value = KeptLetter> {
    (dead_letter(), vec((line(), range()), 0..3))
        .prop_map(|(letter, numbers)| KeptLetter { letter, numbers })
}

pub(super) fn dead_letters() -> impl Strategy<Value = DeadLetters> {
    let told = (1..u64::MAX, vec(dead_letter(), 0..3))
        .prop_map(|(count, newest)| DeadLetters { count, newest });
    prop_oneof![Just(DeadLetters::default()), told]
}
