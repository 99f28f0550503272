//! The envelope around every body; its numbers are big-endian.
//!
//! ```text
//! byte  0       2         3      4        6       7        11       15
//!       +-------+---------+------+--------+-------+--------+--------+---------
//!       | magic | version | kind | schema | flags | length | crc32c | body ...
//!       | "PB"  | 1       | u8   | u16    | 0     | u32    | u32    |
//!       +-------+---------+------+--------+-------+--------+--------+---------
//! ```
//!
//! `length` counts the body; nothing follows it. `crc32c` covers bytes 0 to 10 and the body. `kind` and `schema` name
//! the frozen struct of the body. Flags are reserved (compression, signature): none is known yet.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::SizeWriter;
use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::{BODY_BYTES_MAX, WireError};

/// The kinds of body; numbers once given are never used again.
pub(super) mod kind {
    pub(in crate::wire) const FRAME: u8 = 1;
    pub(in crate::wire) const HEARTBEAT: u8 = 2;
    pub(in crate::wire) const LOST: u8 = 3;
    pub(in crate::wire) const REPORT: u8 = 16;
    pub(in crate::wire) const INCARNATION: u8 = 17;
    pub(in crate::wire) const RETIREMENT: u8 = 18;
    pub(in crate::wire) const ORDERS: u8 = 19;
    pub(in crate::wire) const CURSOR: u8 = 32;
    pub(in crate::wire) const LETTER: u8 = 33;
}

const MAGIC: [u8; 2] = *b"PB";
const VERSION: u8 = 1;
const FLAGS: u8 = 0;
const CRC_AT: usize = 11;
const HEADER_BYTES: usize = 15;

/// Without the limit a few bytes that claim a huge length would abort the process.
const BODY: Configuration<LittleEndian, Varint, Limit<BODY_BYTES_MAX>> =
    bincode::config::standard().with_limit::<BODY_BYTES_MAX>();

/// A sound envelope: its checksum is right and nothing follows its body.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) kind: u8,
    pub(super) schema: u16,
    body: &'a [u8],
}

/// The bytes of `body` in its envelope.
pub(super) fn seal(kind: u8, schema: u16, body: &impl Encode) -> Bytes {
    let mut sealed = vec![0; HEADER_BYTES];
    pack(body, &mut sealed);
    let length = u32::try_from(sealed.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    let [s0, s1] = schema.to_be_bytes();
    let [l0, l1, l2, l3] = length.to_be_bytes();
    let covered = [MAGIC[0], MAGIC[1], VERSION, kind, s0, s1, FLAGS, l0, l1, l2, l3];
    sealed[..CRC_AT].copy_from_slice(&covered);
    let crc = checksum(&covered, &sealed[HEADER_BYTES..]);
    sealed[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
    sealed.into()
}

/// How many bytes that would be.
pub(super) fn sealed_bytes(body: &impl Encode) -> usize {
    let mut counted = SizeWriter::default();
    bincode::encode_into_writer(body, &mut counted, BODY)
        .expect("counting takes every byte, and frozen structs hold only numbers, text and lists");
    HEADER_BYTES + counted.bytes_written
}

impl<'a> Envelope<'a> {
    /// Checks the envelope, without looking into its body.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, body) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(WireError::Malformed("shorter than its header"))?;
        let [m0, m1, version, kind, s0, s1, flags, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        if [m0, m1] != MAGIC {
            return Err(WireError::Malformed("does not begin with PB"));
        }
        // Another version may place what follows elsewhere, its checksum too.
        if version != VERSION {
            return Err(WireError::unknown("version of the envelope", version));
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(WireError::Malformed("its body is longer than the limit"));
        }
        if usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])) != Ok(body.len()) {
            return Err(WireError::Malformed("its body is not as long as it says"));
        }
        if checksum(&header[..CRC_AT], body) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(WireError::Malformed("its checksum is wrong"));
        }
        if flags != FLAGS {
            return Err(WireError::unknown("flags", flags));
        }
        Ok(Self { kind, schema: u16::from_be_bytes([s0, s1]), body })
    }

    /// The body as a frozen struct that borrows from these bytes.
    pub(super) fn body<T: BorrowDecode<'a, ()>>(&self) -> Result<T, WireError> {
        unpack(self.body)
    }
}

/// Appends the bytes of a frozen struct, without an envelope.
pub(super) fn pack(body: &impl Encode, bytes: &mut Vec<u8>) {
    bincode::encode_into_std_write(body, bytes, BODY)
        .expect("a vector takes every byte, and frozen structs hold only numbers, text and lists");
}

/// The frozen struct in these bytes, all of them; it borrows from them.
pub(super) fn unpack<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let (body, consumed) = bincode::borrow_decode_from_slice(bytes, BODY)
        .map_err(|error| WireError::Invalid(error.to_string()))?;
    if consumed == bytes.len() {
        Ok(body)
    } else {
        Err(WireError::Invalid("more bytes than its fields take".into()))
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), body)
}
