//! Letters on disk, and what else may lie there.

use jiff::Timestamp;
use schemas::{DeadLetter, Exchange, LetterState, LineId, Mode, NumberRange, Place, Selector};

use super::*;

fn letter(id: u128) -> KeptLetter {
    let line = LineId::from_bytes([1; 16]);
    let letter = DeadLetter {
        id: Uuid::from_u128(id),
        site: "main".parse().expect("a name"),
        selector: Selector::Tag("a".parse().expect("a tag")),
        mode: Mode::Hard,
        reason: "no".to_owned(),
        first_seen: Timestamp::UNIX_EPOCH,
        last_tried: Timestamp::UNIX_EPOCH,
        tries: 1,
        state: LetterState::Refused,
        place: Place { line, number: 7 },
        invalidations: 1,
        exchange: Some(Exchange::new(b"HTTP/1.1 405 Not Allowed", b"\r\nno")),
    };
    KeptLetter { letter, numbers: vec![(line, NumberRange { first: 7, last: 7 })] }
}

fn written(letters: &[u128]) -> LetterChanges {
    LetterChanges { written: letters.iter().copied().map(letter).collect(), gone: Vec::new() }
}

fn folder(state: &Path) -> LetterFolder {
    LetterFolder::new(state, &"web".parse().expect("a name"), Priority::Normal)
}

#[test]
fn what_was_written_is_loaded_until_it_is_removed() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = folder(state.path());
    assert_eq!(folder.load().expect("nothing yet"), []);
    folder.write(&written(&[1, 2])).expect("written");
    folder.write(&written(&[2])).expect("written again");
    let mut loaded = folder.load().expect("letters");
    loaded.sort_by_key(|kept| kept.letter.id);
    assert_eq!(loaded, [letter(1), letter(2)]);
    let gone = LetterChanges { written: Vec::new(), gone: vec![Uuid::from_u128(1)] };
    for _ in 0..2 {
        folder.remove(&gone).expect("removed, once is enough");
    }
    assert_eq!(folder.load().expect("a letter"), [letter(2)]);
    assert_eq!(fs::read_dir(&folder.path).expect("a folder").count(), 1, "no litter");
}

#[test]
fn whatever_is_damaged_is_set_aside_by_its_name_and_keeps_nobody_from_beginning() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = folder(state.path());
    folder.write(&written(&[1])).expect("written");
    let (one, whole) = (folder.file(Uuid::from_u128(1)), wire::encode_letter(&letter(1)));
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        for bytes in [&bytes[..], &whole[..at], b""] {
            fs::write(&one, bytes).expect("written");
            assert_eq!(folder.load().expect("nobody is kept"), [], "byte {at}");
            assert!(one.with_extension("letter.damaged").exists() && !one.exists());
        }
    }
    // A copy under another name would be the same letter twice.
    fs::write(folder.file(Uuid::from_u128(2)), &whole).expect("written");
    fs::write(folder.path.join("notes.txt"), "by hand").expect("written");
    assert_eq!(folder.load().expect("nobody is kept"), []);
    assert!(folder.path.join("notes.txt").exists());
}

#[test]
fn numbers_that_no_lane_gives_are_taken_for_none() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = folder(state.path());
    let mut hostile = letter(1);
    hostile.numbers = vec![(LineId::from_bytes([1; 16]), NumberRange { first: 1, last: u64::MAX })];
    hostile.letter.invalidations = u64::MAX;
    folder.write(&LetterChanges { written: vec![hostile], gone: Vec::new() }).expect("written");
    let mut letters = crate::letters::Letters::default();
    let kept = folder.load().expect("a letter").remove(0);
    assert_eq!(letters.adopt(kept, |_, _| vec![7]).len(), 1);
    assert_eq!(letters.tell().newest[0].invalidations, 1);
}
