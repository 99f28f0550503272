//! A trail whose writer was killed, or lost it.

use std::io::Write;

use super::*;
use crate::audit::AuditError;

#[test]
fn a_line_that_a_crash_has_torn_is_cut_off_and_the_trail_goes_on() {
    let folder = three_days(2);
    let path = paths(folder.path()).pop().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"seq\":10,\"previous\":\"00").unwrap();
    let before = verified(folder.path());
    assert!(before.intact && before.unfinished, "{before:?}");
    let (mut segment, found) = open(folder.path());
    assert_eq!(found.torn.map(|(_, bytes)| bytes), Some(24));
    assert_eq!(found.missing, None);
    append(&mut segment, 1, days(2));
    let after = verified(folder.path());
    assert!(after.intact && !after.unfinished, "{after:?}");
    assert_eq!((after.files, after.lines), (3, 10));
}

#[test]
fn a_file_of_which_only_its_beginning_was_written_is_begun_again() {
    let folder = three_days(2);
    let name = files::FileName::new(days(3), 10);
    fs::write(name.in_folder(folder.path()), [0; 700]).unwrap();
    let (mut segment, found) = open(folder.path());
    assert_eq!(found.torn, Some((name, 700)));
    append(&mut segment, 2, days(3));
    let after = verified(folder.path());
    assert!(after.intact, "{after:?}");
    assert_eq!((after.files, after.lines), (4, 12));
}

#[test]
fn lines_that_were_on_the_disk_and_are_gone_stay_missed() {
    let folder = three_days(2);
    let known = Head::read(folder.path()).unwrap();
    let path = paths(folder.path()).pop().unwrap();
    edit(&path, |lines| lines.truncate(2));
    fs::remove_file(folder.path().join(head::FILE)).unwrap();
    let (mut segment, found) = open_with(folder.path(), KEEP, known);
    assert_eq!(found.missing, Some((9, 9)));
    append(&mut segment, 2, days(2));
    let found = finding(folder.path());
    assert_eq!((found.kind, found.seq), (AuditFault::Removed, Some(9)), "{found:?}");
}

#[test]
fn a_trail_has_one_writer_and_one_installation() {
    let (ours, theirs) = (three_days(1), three_days(1));
    let known = Head::read(theirs.path()).unwrap();
    let again = |known| Segment::open(ours.path(), "p1".parse().unwrap(), KEEP, known);
    assert!(matches!(again(known), Err(AuditError::Foreign { .. })));
    let _segment = again(None).unwrap();
    assert!(matches!(again(None), Err(AuditError::InUse(_))));
}
