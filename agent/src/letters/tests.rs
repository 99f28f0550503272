//! Dead letters of any lane: they stay within their bounds, and count what they stand for.

use proptest::prelude::*;
use schemas::Selector;

use super::*;

fn purge(tag: u8) -> Purge {
    let selector = Selector::Tag(format!("t{tag}").parse().expect("a tag"));
    Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
}

/// So many numbers of a line, with a gap behind each.
fn scattered(line: u8, first: Number, count: u64) -> Vec<Place> {
    let place = |number| Place { line: LineId::from_bytes([line; 16]), number };
    (0..count).map(|at| place(first + 2 * at)).collect()
}

/// What counts the letters one by one: how many numbers, and which are full.
fn counted(letters: &Letters) -> (u64, BTreeSet<Uuid>) {
    let full = letters.all.iter().filter(|(_, letter)| letter.is_full());
    (letters.all.values().map(Letter::count).sum(), full.map(|(id, _)| *id).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn no_letter_and_no_lane_stands_for_more_than_it_may(
        refused in proptest::collection::vec((0..3_u8, 0..2_u8, 0..40_000_u64, 1..3_000_u64), 20..120),
        dropped in proptest::collection::vec(any::<bool>(), 120),
    ) {
        const AT_ONCE: usize = 3_000;
        let why = Why::of("no");
        let refusal = Refusal { why, time: Timestamp::UNIX_EPOCH, now: Moment::ZERO };
        let mut letters = Letters::default();
        for (at, (tag, line, first, count)) in refused.into_iter().enumerate() {
            let purge = purge(tag);
            let room = letters.has_room_for(&purge);
            prop_assert!(room || letters.is_full(), "whoever has no room for one reads no more");
            if room {
                letters.refuse(&purge, &scattered(line, first, count), refusal, Uuid::from_u128(at as u128));
            } else if dropped[at] {
                let id = letters.of(&purge).expect("it is full");
                letters.drop(id).expect("it is there");
                prop_assert!(letters.has_room_for(&purge));
            }
            prop_assert_eq!(counted(&letters), (letters.numbers, letters.full.clone()));
            prop_assert_eq!(letters.too_much().is_some(), letters.is_full());
            for kept in letters.kept() {
                prop_assert!(kept.numbers.len() < RANGES_MAX + AT_ONCE);
            }
        }
        // Of a former life the same is true.
        let mut heirs = Letters::default();
        for kept in letters.kept() {
            heirs.adopt(kept, |_, range| (range.first..=range.last).collect());
        }
        prop_assert_eq!((heirs.numbers, &heirs.full), (letters.numbers, &letters.full));
    }
}

#[test]
fn a_lane_whose_letters_stand_for_too_many_numbers_has_room_for_none() {
    let refusal = Refusal { why: Why::of("no"), time: Timestamp::UNIX_EPOCH, now: Moment::ZERO };
    let mut letters = Letters::default();
    let line = LineId::from_bytes([1; 16]);
    let places: Vec<_> = (1..=NUMBERS_MAX).map(|number| Place { line, number }).collect();
    let (but_one, last) = places.split_at(places.len() - 1);
    letters.refuse(&purge(1), but_one, refusal, Uuid::from_u128(1));
    assert!(letters.has_room_for(&purge(1)) && letters.has_room_for(&purge(2)));
    letters.refuse(&purge(2), last, refusal, Uuid::from_u128(2));
    assert!(
        letters.is_full() && !letters.has_room_for(&purge(1)) && !letters.has_room_for(&purge(3))
    );
    let said = letters.too_much().expect("it says so");
    assert_eq!(said, "2 dead letters for 250000 invalidations");
    letters.drop(Uuid::from_u128(1)).expect("it is there");
    assert!(!letters.is_full());
}
