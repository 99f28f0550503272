//! What is told of more endings than there is room for.

use proptest::prelude::*;
use schemas::LineId;

use super::*;

const fn only(number: Number) -> NumberRange {
    NumberRange { first: number, last: number }
}

/// How `number` is told to have ended.
fn told(notes: &[Note], number: Number) -> Option<Outcome> {
    notes.iter().find(|(numbers, _)| numbers.contains(number)).map(|(_, outcome)| *outcome)
}

fn noted(all: &[(Number, Outcome)]) -> Notes {
    let mut notes = Notes::default();
    for (number, outcome) in all {
        notes.note(only(*number), *outcome);
        assert!(notes.ended.len() <= NOTES_MAX);
    }
    notes
}

#[test]
fn too_many_notes_are_told_in_wider_ranges_and_nothing_ends_better_than_it_did() {
    let ended = |number: Number| match number % 50 {
        0 => Outcome::Expired,
        _ => Outcome::Covered,
    };
    let all: Vec<_> = (2..=20_000).step_by(2).map(|number| (number, ended(number))).collect();
    let notes: Vec<_> = noted(&all).all().collect();
    assert!(all.iter().all(|(number, outcome)| told(&notes, *number) >= Some(*outcome)));
    for (number, outcome) in all.iter().rev().take(NOTES_LEFT / 2) {
        assert_eq!(told(&notes, *number), Some(*outcome));
        assert_eq!(told(&notes, number - 1), None, "the newest are exact");
    }
}

#[test]
fn among_any_number_of_covered_ones_the_few_that_were_left_alone_stay_exact() {
    let left = [4_000, 20_000, 20_002, 150_000];
    let ended = |number| if left.contains(&number) { Outcome::Cancelled } else { Outcome::Covered };
    let all: Vec<_> = (2..=200_000).step_by(2).map(|number| (number, ended(number))).collect();
    let notes = noted(&all);
    let mut few = vec![line(1, notes.all().collect())];
    few.extend((2..=100).map(|id| line(id, vec![(only(7), Outcome::Expired)])));
    fit_in_cursor(&mut few);
    assert!(few.iter().map(|line| line.exceptions.len()).sum::<usize>() <= STORED_MAX);
    for notes in [notes.all().collect(), few.remove(0).exceptions] {
        for (number, outcome) in &all {
            let alike = is_gone(told(&notes, *number).expect("it is told"));
            assert_eq!(alike, is_gone(*outcome), "{number}");
        }
    }
    assert!(few.iter().all(|line| line.exceptions == [(only(7), Outcome::Expired)]));
}

#[test]
fn a_cursor_of_ever_so_many_lines_holds_few_notes_and_none_is_forgotten() {
    let all: Vec<Note> = (1..=50).map(|number| (only(2 * number), Outcome::Covered)).collect();
    let mut lines: Vec<_> = (0..3_000).map(|id| line(id, all.clone())).collect();
    lines[7].exceptions[3].1 = Outcome::Cancelled;
    fit_in_cursor(&mut lines);
    let whole = NumberRange { first: 2, last: 100 };
    for (at, line) in lines.iter().enumerate() {
        let worst = if at == 7 { Outcome::Cancelled } else { Outcome::Covered };
        assert_eq!(line.exceptions, [(whole, worst)]);
    }
}

fn line(id: u128, exceptions: Vec<Note>) -> LineCursor {
    LineCursor {
        line: LineId::from_bytes(id.to_be_bytes()),
        base: 0,
        floor: 0,
        settled: Vec::new(),
        refused: Vec::new(),
        exceptions,
    }
}

fn note() -> impl Strategy<Value = Note> {
    let outcome = prop::sample::select(
        &[Outcome::Covered, Outcome::Flushed, Outcome::Expired, Outcome::Cancelled][..],
    );
    (1u64..40, 0u64..5, outcome)
        .prop_map(|(first, more, outcome)| (NumberRange { first, last: first + more }, outcome))
}

proptest! {
    #[test]
    fn of_what_an_earlier_life_told_counts_what_it_had_settled_and_the_worst(
        told_before in prop::collection::vec(note(), 0..12),
        floor in 0u64..30,
        above in prop::collection::vec((30u64..45, 0u64..4), 0..3),
    ) {
        let ranges = above.iter().map(|(first, more)| NumberRange { first: *first, last: first + more });
        let settled = Floor::restored(floor, &ranges.collect::<Vec<_>>());
        let notes: Vec<_> = Notes::restored(&told_before, &settled).all().collect();
        for number in 1..60 {
            let of = told_before.iter().filter(|(numbers, _)| numbers.contains(number));
            let worst = of.map(|(_, outcome)| *outcome).max().filter(|_| settled.has(number));
            prop_assert_eq!(told(&notes, number), worst, "{}", number);
        }
    }

    #[test]
    fn however_few_are_left_nothing_is_told_to_have_ended_better_and_nothing_is_forgotten(
        all in prop::collection::vec(note(), 0..40), most in 1usize..12
    ) {
        let mut notes = Notes::default();
        for (numbers, outcome) in all {
            notes.note(numbers, outcome);
        }
        let all: Vec<_> = notes.all().collect();
        let few = in_few(all.clone(), most);
        prop_assert!(few.len() <= most);
        prop_assert!(few.is_sorted_by(|(one, _), (next, _)| one.last < next.first));
        for number in 1..50 {
            prop_assert!(told(&few, number) >= told(&all, number), "{}", number);
        }
    }
}
