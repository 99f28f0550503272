//! A trail in a folder: what is done to it is found and named; what is not done to it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use schemas::api::{AuditFault, AuditFinding, AuditVerification};
use serde_json::json;
use tempfile::TempDir;

use super::files;
use super::head::{self, Head};
use super::segment::{Found, Keep, Segment, entry};
use super::verify::verify;

mod restarts;

const KEEP: Keep = Keep { age: Duration::from_hours(24 * 180), bytes: 1 << 30 };

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(24 * days)
}

fn open(folder: &Path) -> (Segment, Found) {
    open_with(folder, KEEP, None)
}

fn open_with(folder: &Path, keep: Keep, known: Option<Head>) -> (Segment, Found) {
    Segment::open(folder, "p1".parse().unwrap(), keep, known).unwrap()
}

fn append(segment: &mut Segment, lines: usize, now: Timestamp) {
    let entries: Vec<Vec<u8>> =
        (0..lines).map(|at| entry(now, "publish", &json!({"who": "cms", "nr": at}))).collect();
    segment.append(entries.iter().map(Vec::as_slice), now).unwrap();
    segment.sync().unwrap();
}

/// Three days with so many lines each, beside the first of each file.
fn three_days(lines: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut segment, _) = open(folder.path());
    for day in 0..3 {
        append(&mut segment, lines, days(day));
    }
    folder
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    files::list(folder).unwrap().into_iter().map(|file| file.in_folder(folder)).collect()
}

fn verified(folder: &Path) -> AuditVerification {
    verify(folder, &[]).unwrap()
}

fn finding(folder: &Path) -> AuditFinding {
    let verified = verified(folder);
    assert!(!verified.intact);
    verified.finding.unwrap()
}

/// All lines of all files, with the file and the line of each.
fn lines(folder: &Path) -> Vec<(PathBuf, usize)> {
    let of = |path: PathBuf| {
        let count = fs::read_to_string(&path).unwrap().lines().count();
        (0..count).map(move |line| (path.clone(), line))
    };
    paths(folder).into_iter().flat_map(of).collect()
}

/// How many lines end in it.
fn ends(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    fs::write(path, text).unwrap();
}

#[test]
fn what_nobody_touched_is_intact() {
    let folder = three_days(4);
    let verified = verified(folder.path());
    assert!(verified.intact, "{verified:?}");
    assert_eq!((verified.files, verified.lines, verified.lost), (3, 15, 0));
    assert_eq!(verified.publisher.as_deref(), Some("p1"));
    assert_eq!((verified.oldest.unwrap().seq, verified.newest.unwrap().seq), (1, 15));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_byte_that_is_another_is_found_in_its_line(at in 0..10_000_usize, by in 1..=255_u8) {
        let folder = three_days(2);
        let all = paths(folder.path());
        let path = &all[at % all.len()];
        let mut bytes = fs::read(path).unwrap();
        let at = at % bytes.len();
        let line = ends(&bytes[..at]) as u64 + 1;
        bytes[at] ^= by;
        fs::write(path, bytes).unwrap();
        let found = finding(folder.path());
        prop_assert_eq!(PathBuf::from(&found.file), PathBuf::from(path.file_name().unwrap()));
        prop_assert_eq!(found.line, line, "{:?}", found);
    }

    #[test]
    fn any_line_that_is_gone_is_named(at in 0..9_usize) {
        let folder = three_days(2);
        let (path, line) = lines(folder.path())[at].clone();
        edit(&path, |lines| drop(lines.remove(line)));
        let found = finding(folder.path());
        let seq = at as u64 + 1;
        prop_assert_eq!(found.seq, Some(seq), "{:?}", found);
        let is_last = at == 8;
        prop_assert_eq!(found.kind, if is_last { AuditFault::CutOff } else { AuditFault::Removed });
    }

    #[test]
    fn any_two_lines_that_change_places_are_found_at_the_first(one in 0..9_usize, other in 0..9_usize) {
        prop_assume!(one < other);
        let folder = three_days(2);
        let all = lines(folder.path());
        let ((first, at), (second, to)) = (all[one].clone(), all[other].clone());
        let mut texts = [(&first, at), (&second, to)].map(|(path, line)| {
            fs::read_to_string(path).unwrap().lines().nth(line).unwrap().to_owned()
        });
        edit(&first, |lines| lines[at].clone_from(&texts[1]));
        edit(&second, |lines| lines[to] = std::mem::take(&mut texts[0]));
        let found = finding(folder.path());
        prop_assert_eq!(found.seq, Some(one as u64 + 1), "{:?}", found);
    }

    #[test]
    fn wherever_a_file_is_cut_it_is_found(file in 0..3_usize, left in 0..10_000_usize) {
        let folder = three_days(2);
        let path = &paths(folder.path())[file];
        let bytes = fs::read(path).unwrap();
        let left = left % bytes.len();
        let whole = ends(&bytes[..left]);
        fs::write(path, &bytes[..left]).unwrap();
        let found = finding(folder.path());
        prop_assert_eq!(found.seq, Some((3 * file + whole) as u64 + 1), "{:?}", found);
    }
}

#[test]
fn a_line_that_was_changed_together_with_its_hash_is_found() {
    let folder = three_days(3);
    let path = &paths(folder.path())[1];
    edit(path, |lines| {
        let read = super::line::Line::read(lines[2].as_bytes()).unwrap();
        let before = super::line::Link { sequence: read.link.sequence - 1, hash: read.previous };
        let mut forged = Vec::new();
        before.chain(&entry(noon(), "publish", &json!({"who": "somebody else"})), &mut forged);
        lines[2] = String::from_utf8(forged).unwrap().trim_end().to_owned();
    });
    let found = finding(folder.path());
    assert_eq!((found.kind, found.line, found.seq), (AuditFault::Changed, 3, Some(7)), "{found:?}");
}

#[test]
fn a_trail_that_was_written_anew_is_not_what_others_know() {
    let folder = three_days(2);
    let known = Head::read(folder.path()).unwrap().unwrap();
    for path in paths(folder.path()) {
        fs::remove_file(path).unwrap();
    }
    let forged = Head { newest: super::line::Link::NONE, ..known };
    forged.write(folder.path()).unwrap();
    let (mut segment, _) = open(folder.path());
    append(&mut segment, 20, noon());
    assert!(verified(folder.path()).intact, "the folder alone cannot tell");
    let found = verify(folder.path(), &[known]).unwrap().finding.unwrap();
    assert_eq!((found.kind, found.seq), (AuditFault::Changed, Some(9)), "{found:?}");
}

#[test]
fn a_file_of_another_installation_is_told_from_a_changed_one() {
    let (ours, theirs) = (three_days(2), three_days(5));
    let stray = &paths(theirs.path())[2];
    fs::copy(stray, ours.path().join(stray.file_name().unwrap())).unwrap();
    let found = finding(ours.path());
    assert_eq!(found.kind, AuditFault::Foreign, "{found:?}");
    assert_eq!(PathBuf::from(found.file), PathBuf::from(stray.file_name().unwrap()));
}

#[test]
fn a_whole_file_that_is_gone_is_found_wherever_it_was() {
    for (file, kind, seq) in
        [(0, AuditFault::Removed, 1), (1, AuditFault::Removed, 4), (2, AuditFault::CutOff, 7)]
    {
        let folder = three_days(2);
        fs::remove_file(&paths(folder.path())[file]).unwrap();
        let found = finding(folder.path());
        assert_eq!((found.kind, found.seq), (kind, Some(seq)), "{found:?}");
    }
}

#[test]
fn without_its_head_a_trail_is_not_proved_to_end_where_it_does() {
    let folder = three_days(2);
    fs::write(folder.path().join(head::FILE), "{").unwrap();
    assert_eq!(finding(folder.path()).kind, AuditFault::NoHead);
    fs::remove_file(folder.path().join(head::FILE)).unwrap();
    assert_eq!(finding(folder.path()).kind, AuditFault::NoHead);
    assert!(verify(tempfile::tempdir().unwrap().path(), &[]).is_err(), "no trail is no proof");
}

#[test]
fn what_is_kept_no_longer_is_told_from_what_was_removed() {
    let folder = three_days(3);
    let keep = Keep { age: Duration::from_hours(36), ..KEEP };
    let (mut segment, _) = open_with(folder.path(), keep, None);
    append(&mut segment, 1, days(3));
    segment.forget(days(3)).unwrap();
    assert_eq!(paths(folder.path()).len(), 2, "the first two days, and none of the rest");
    let verified = verified(folder.path());
    assert!(verified.intact, "{verified:?}");
    assert_eq!(verified.oldest.unwrap().seq, 9);
    fs::remove_file(&paths(folder.path())[0]).unwrap();
    let found = finding(folder.path());
    assert_eq!((found.kind, found.seq), (AuditFault::Removed, Some(1)), "{found:?}");
}

#[test]
fn more_bytes_than_may_be_kept_go_oldest_first() {
    let folder = three_days(100);
    let bytes = |folder: &Path| -> u64 {
        paths(folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    };
    let keep = Keep { bytes: bytes(folder.path()) / 2, ..KEEP };
    let (mut segment, _) = open_with(folder.path(), keep, None);
    append(&mut segment, 1, days(2));
    segment.forget(days(2)).unwrap();
    assert!(bytes(folder.path()) <= keep.bytes);
    assert!(verified(folder.path()).intact);
    // A day of more than a quarter of all has a further file.
    append(&mut segment, 100, days(2));
    append(&mut segment, 100, days(2));
    let names = files::list(folder.path()).unwrap();
    assert!(names.iter().filter(|file| file.day == names[0].day).count() > 1, "{names:?}");
    assert!(verified(folder.path()).intact);
}
