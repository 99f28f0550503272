//! What the parsers of the wire have in common: messages as they came, and with a header that says what is true.

use schemas::wire::BODY_BYTES_MAX;

use crate::memory;

const LENGTH_AT: usize = 7;
const CHECKSUM_AT: usize = 11;
const HEADER_BYTES: usize = 15;
const FLAGS_AT: usize = 6;
const SIGNED_BYTES: usize = 72;

/// What decoding may claim, and as much again as the bytes themselves and what they mean may take.
const MEMORY_MAX: usize = BODY_BYTES_MAX + BODY_BYTES_MAX / 8;

/// The message as it came, and mended.
pub(super) fn both(bytes: &[u8]) -> [Vec<u8>; 2] {
    [bytes.to_vec(), mended(bytes.to_vec())]
}

/// With the length and the checksum that its bytes have: what a checksum keeps out is not what is looked for.
pub(super) fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < HEADER_BYTES {
        return bytes;
    }
    let behind = if bytes[FLAGS_AT] & 1 == 0 { 0 } else { SIGNED_BYTES };
    let length = (bytes.len() - HEADER_BYTES).saturating_sub(behind);
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    bytes[..3].copy_from_slice(b"PB\x01");
    bytes[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&length.to_be_bytes());
    let checksum =
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..CHECKSUM_AT]), &bytes[HEADER_BYTES..]);
    bytes[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Decodes within bounds; what was understood means the same when it was written and read again.
pub(super) fn round<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl FnOnce(&T) -> Vec<u8>,
) -> Option<T> {
    let message = memory::within(MEMORY_MAX, || decode(bytes)).ok()?;
    let again = decode(&encode(&message)).expect("what was encoded is decoded");
    assert_eq!(again, message);
    Some(message)
}
