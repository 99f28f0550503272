//! What reads `journal.wal`, for `tests/fuzz`.

use super::entry::Entry;
use super::records;

/// The payloads of a file's records of that name, or where it is damaged.
pub fn records(file: &[u8], name: u128) -> Result<Vec<Vec<u8>>, usize> {
    records::read(file, name).map(|payloads| payloads.into_iter().map(<[u8]>::to_vec).collect())
}

/// A record.
pub fn record(name: u128, number: u64, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    records::write(&mut record, name, number, |out| out.extend_from_slice(payload));
    record
}

/// What a payload says of a commit, written again.
pub fn entry(payload: &[u8]) -> Option<Vec<u8>> {
    let mut again = Vec::new();
    Entry::decode(payload)?.encode(&mut again);
    Some(again)
}
