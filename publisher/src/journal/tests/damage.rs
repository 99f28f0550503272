//! Files that are not what was written: a journal opens with everything it has promised, or it is refused by name.

use fastrand::Rng;
use tempfile::TempDir;

use super::files::{AHEAD, STORE};
use super::*;

/// So many places are damaged, of each file.
const TRIES: usize = 60;
/// Bytes of each invalidation, and a little more.
const LARGE: usize = 2_000;
/// Where the store's own header lies: every byte of it that says something is damaged.
const HEADER_BYTES: usize = 320;
/// The byte of the header that says which of its two halves holds. After a kill a flip of that bit alone
/// is not seen: what is left is what a kill within the last commit leaves.
const HALF_AT: usize = 9;
const HALF_BIT: u8 = 0;

/// A journal's files, and what it has promised.
struct Written {
    files: Files,
    promised: Vec<Receipt>,
}

async fn write(killed: bool) -> Written {
    let folder = TempDir::new().unwrap();
    let world = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
    let life = world.begin();
    let mut promised = Vec::new();
    for _ in 0..40 {
        promised.push(life.journal.accept(world.large(LARGE), None).await.unwrap());
    }
    let of_the_killed = Files::in_folder(folder.path());
    life.end().await;
    drop(world);
    let files = if killed { of_the_killed } else { Files::in_folder(folder.path()) };
    Written { files, promised }
}

impl Written {
    /// Whether these open; then nothing promised is missing, else the damaged one of them is named.
    async fn opens(&self, files: &Files, damaged: &str, what: &str) -> bool {
        let folder = files.lay_out();
        let store = match JournalStore::open(folder.path()) {
            Ok(store) => store,
            Err(error) => {
                let told = error.to_string();
                let refused = match damaged {
                    STORE => matches!(error, JournalError::Damaged { .. }),
                    _ => matches!(error, JournalError::DamagedAhead { .. }),
                };
                assert!(refused, "{what}: {told}");
                let file = folder.path().join(damaged);
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

    /// How many of these flips are refused.
    async fn refused(&self, file: &str, flips: Vec<(usize, u8)>) -> usize {
        let mut refused = 0;
        for (at, bit) in flips {
            let mut files = self.files.clone();
            files.of(file)[at] ^= 1 << bit;
            let opened = self.opens(&files, file, &format!("{file}, {at}.{bit}")).await;
            refused += usize::from(!opened);
        }
        refused
    }
}

/// Where something is written.
fn used(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at] != 0).collect()
}

#[test]
fn flipped_bits_are_refused_by_name_or_hurt_nothing() {
    run(async {
        for killed in [false, true] {
            let mut written = write(killed).await;
            assert!(written.opens(&written.files, STORE, "as it was written").await);
            let used = used(written.files.of(STORE));
            let mut rng = Rng::with_seed(7);
            let header = used.iter().copied().filter(|at| *at < HEADER_BYTES);
            let mut flips: Vec<(usize, u8)> = header.map(|at| (at, rng.u8(..8))).collect();
            flips.extend((0..8).map(|bit| (HALF_AT, bit)));
            flips.retain(|flip| !killed || *flip != (HALF_AT, HALF_BIT));
            flips.extend((0..TRIES).filter_map(|_| Some((*rng.choice(&used)?, rng.u8(..8)))));
            let refused = written.refused(STORE, flips).await;
            assert!(refused > TRIES / 2, "{refused} were refused");
        }
    });
}

/// What flips in the last record cannot be told from a crash while that was written.
#[test]
fn a_flipped_bit_in_the_file_before_the_store_is_refused_by_name_or_hurts_nothing() {
    run(async {
        let mut written = write(true).await;
        let used = used(written.files.of(AHEAD));
        let last = used.last().expect("records") - LARGE;
        let mut rng = Rng::with_seed(9);
        let flips = std::iter::repeat_with(|| (rng.choice(&used).copied(), rng.u8(..8)));
        let flips = flips.filter_map(|(at, bit)| Some((at.filter(|at| *at < last)?, bit)));
        let refused = written.refused(AHEAD, flips.take(TRIES).collect()).await;
        assert_eq!(refused, TRIES);
    });
}

#[test]
fn a_torn_file_is_refused_by_name() {
    run(async {
        for killed in [false, true] {
            let written = write(killed).await;
            let mut rng = Rng::with_seed(8);
            for _ in 0..TRIES / 3 {
                let mut files = written.files.clone();
                let length = rng.usize(1..files.of(STORE).len());
                files.of(STORE).truncate(length);
                let what = format!("killed {killed}, {length}");
                assert!(!written.opens(&files, STORE, &what).await);
            }
        }
    });
}
