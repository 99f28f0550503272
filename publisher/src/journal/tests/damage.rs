//! Files that are not what was written: a journal opens with everything it has promised, or it is refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use tempfile::TempDir;

use super::lives::Lives;
use super::*;

/// So many places are damaged, of each file.
const TRIES: usize = 60;
/// Where the store's own header lies: every byte of it that says something is damaged.
const HEADER_BYTES: usize = 320;
/// The byte of the header that says which of its two halves holds. After a kill a flip of that bit alone
/// is not seen: what is left is what a kill within the last commit leaves.
const HALF_AT: usize = 9;
const HALF_BIT: u8 = 0;

/// A journal's file, and what it has promised.
struct Written {
    bytes: Vec<u8>,
    promised: Vec<Receipt>,
}

async fn write(killed: bool) -> Written {
    let folder = TempDir::new().unwrap();
    let world = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
    let life = world.begin();
    let mut promised = Vec::new();
    for _ in 0..40 {
        promised.push(life.journal.accept(world.large(2_000), None).await.unwrap());
    }
    let file = file_in(folder.path());
    let of_the_killed = fs::read(&file).unwrap();
    life.end().await;
    drop(world);
    Written { bytes: if killed { of_the_killed } else { fs::read(file).unwrap() }, promised }
}

fn file_in(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

impl Written {
    /// Whether it opens; then nothing promised is missing, else its file is named.
    async fn opens(&self, bytes: &[u8], what: &str) -> bool {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("journal.redb");
        fs::write(&file, bytes).unwrap();
        let store = match JournalStore::open(folder.path()) {
            Ok(store) => store,
            Err(error) => {
                let told = error.to_string();
                assert!(matches!(error, JournalError::Damaged { .. }), "{what}: {told}");
                assert!(told.contains(&file.display().to_string()), "{what}: {told}");
                return false;
            }
        };
        let world = Lives::new(store, true);
        let life = world.begin();
        for receipt in &self.promised {
            let found = life.journal.find(receipt.id).await.unwrap();
            let place = found.map(|(place, _)| place);
            assert_eq!(place, Some(receipt.place), "{what}");
        }
        assert_eq!(world.logged(NORMAL).await.len(), self.promised.len(), "{what}");
        life.end().await;
        true
    }
}

#[test]
fn flipped_bits_are_refused_by_name_or_hurt_nothing() {
    run(async {
        for killed in [false, true] {
            let written = write(killed).await;
            assert!(written.opens(&written.bytes, "as it was written").await);
            let used: Vec<usize> =
                (0..written.bytes.len()).filter(|at| written.bytes[*at] != 0).collect();
            let mut rng = Rng::with_seed(7);
            let header = used.iter().copied().filter(|at| *at < HEADER_BYTES);
            let mut flips: Vec<(usize, u8)> = header.map(|at| (at, rng.u8(..8))).collect();
            flips.extend((0..8).map(|bit| (HALF_AT, bit)));
            flips.retain(|flip| !killed || *flip != (HALF_AT, HALF_BIT));
            flips.extend((0..TRIES).filter_map(|_| Some((*rng.choice(&used)?, rng.u8(..8)))));
            let mut refused = 0;
            for (at, bit) in flips {
                let mut bytes = written.bytes.clone();
                bytes[at] ^= 1 << bit;
                let opened = written.opens(&bytes, &format!("killed {killed}, {at}.{bit}")).await;
                refused += usize::from(!opened);
            }
            assert!(refused > TRIES / 2, "{refused} were refused");
        }
    });
}

#[test]
fn a_torn_file_is_refused_by_name() {
    run(async {
        for killed in [false, true] {
            let written = write(killed).await;
            let mut rng = Rng::with_seed(8);
            for _ in 0..TRIES / 3 {
                let length = rng.usize(1..written.bytes.len());
                let torn = &written.bytes[..length];
                assert!(!written.opens(torn, &format!("killed {killed}, {length}")).await);
            }
        }
    });
}
