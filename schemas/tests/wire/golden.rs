//! Bytes once released decode for ever.
//!
//! Each sample has its bytes in `golden/`. For a new sample run
//! `PURGEBUS_NEW_GOLDEN=1 cargo test -p schemas golden` and check the new file in; a file that exists is never
//! written. When a schema is superseded its samples keep their files and are only decoded.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::message::decode;
use crate::samples::samples;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
const NEW: &str = "PURGEBUS_NEW_GOLDEN";

/// The sample `v1-lost`, signed.
pub(crate) const SIGNED: &str = "v1-lost-signed";

/// The checked-in bytes, made from `encoded` where they are missing and new ones were asked for.
pub(crate) fn golden(name: &str, encoded: &[u8]) -> Vec<u8> {
    let path = Path::new(FOLDER).join(name).with_extension("bin");
    if std::env::var_os(NEW).is_some()
        && let Ok(mut file) = File::create_new(&path)
    {
        file.write_all(encoded).expect("the new golden file takes its bytes");
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}; {NEW}=1 makes a missing file"))
}

#[test]
fn golden_bytes_mean_what_they_meant_and_are_still_written() {
    for (name, message) in samples() {
        let encoded = message.encode();
        let golden = golden(name, &encoded);
        assert_eq!(decode(&golden), Ok(message), "{name} has changed its meaning");
        assert_eq!(encoded, golden, "{name} has changed its bytes");
    }
}

#[test]
fn no_golden_bytes_are_forgotten() {
    let files: BTreeSet<_> = fs::read_dir(FOLDER)
        .expect("the golden folder")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_owned())
        .collect();
    let names = samples().into_iter().map(|(name, _)| name).chain([SIGNED]);
    let names = names.map(Into::into).collect();
    assert_eq!(files, names);
}

#[test]
fn the_example_in_the_book_is_golden() {
    let book = fs::read_to_string(Path::new(FOLDER).join("../../docs/wire.md")).expect("the book");
    let (_, example) = book.split_once("```text\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let bytes: Vec<_> = example
        .lines()
        .flat_map(|line| line.split("   ").next().expect("hexadecimal bytes").split(' '))
        .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
        .collect();
    let golden = fs::read(Path::new(FOLDER).join("v1-lost.bin")).expect("golden bytes");
    assert_eq!(bytes, golden);
}
