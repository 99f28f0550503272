//! What a publisher finds in `journal.wal` after a crash.

use publisher::fuzzing::journal;

use crate::memory;

const MEMORY_MAX: usize = 1024 * 1024;
const NAME: u128 = 7;

pub(super) fn run(bytes: &[u8]) {
    for name in [0, NAME] {
        let read = memory::within(MEMORY_MAX, || journal::records(bytes, name));
        let taken: usize = read.iter().flatten().map(Vec::len).sum();
        assert!(taken <= bytes.len(), "more than there is");
    }
    entry(bytes);
    records(bytes);
}

/// What is understood of a payload means the same when it was written and read again.
fn entry(payload: &[u8]) {
    if let Some(written) = memory::within(MEMORY_MAX, || journal::entry(payload)) {
        assert_eq!(journal::entry(&written), Some(written.clone()));
    }
}

/// Takes the bytes for payloads, a zero between two of them, and for what an earlier round has left behind them.
fn records(bytes: &[u8]) {
    let payloads: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let mut file = Vec::new();
    for (number, payload) in (1..).zip(&payloads) {
        file.extend(journal::record(NAME, number, payload));
    }
    let whole = file.len();
    if journal::records(bytes, NAME) == Ok(Vec::new()) {
        file.extend_from_slice(bytes);
    }
    assert_eq!(journal::records(&file, NAME).as_deref(), Ok(&owned(&payloads)[..]));
    let cut = bytes.iter().fold(0, |cut: usize, byte| cut.wrapping_mul(31) ^ usize::from(*byte));
    let cut = cut % whole.max(1);
    let kept = journal::records(&file[..cut], NAME).expect("torn, not damaged");
    assert_eq!(kept, owned(&payloads[..kept.len()]));
}

fn owned(payloads: &[&[u8]]) -> Vec<Vec<u8>> {
    payloads.iter().map(|payload| payload.to_vec()).collect()
}
