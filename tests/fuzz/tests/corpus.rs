//! Every input that fuzzing has kept, of those that once made a parser fail too, through its parser.

use std::fs;
use std::panic::catch_unwind;

use fuzz::TARGETS;

/// One test for all targets: they measure the memory of the whole process.
#[test]
fn no_input_that_was_ever_found_makes_a_parser_fail() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let files = fs::read_dir(target.corpus()).expect("a corpus for each target");
        let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        assert!(!files.is_empty(), "nothing is kept for {}", target.name);
        for file in files {
            let bytes = fs::read(&file).expect("an input");
            if catch_unwind(|| (target.run)(&bytes)).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "these made their parsers fail: {failed:#?}");
}

#[test]
fn every_kept_input_belongs_to_a_target() {
    let mut kept: Vec<_> = fs::read_dir(TARGETS[0].corpus().parent().expect("a folder"))
        .expect("a corpus")
        .map(|folder| folder.expect("a folder").file_name())
        .collect();
    let mut targets: Vec<_> =
        TARGETS.iter().map(|target| std::ffi::OsString::from(target.name)).collect();
    kept.sort();
    targets.sort();
    assert_eq!(kept, targets);
}
