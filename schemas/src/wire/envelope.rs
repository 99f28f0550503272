//! The envelope around every body; its numbers are big-endian.
//!
//! ```text
//! byte  0       2         3      4        6       7        11       15         15 + length
//!       +-------+---------+------+--------+-------+--------+--------+----------+--------+-----------+
//!       | magic | version | kind | schema | flags | length | crc32c | body ... | key id | signature |
//!       | "PB"  | 1       | u8   | u16    | u8    | u32    | u32    |          | 8      | 64        |
//!       +-------+---------+------+--------+-------+--------+--------+----------+--------+-----------+
//!                                                                               where flag 1 is set
//! ```
//!
//! `length` counts the body; nothing follows it but the signature. `crc32c` covers bytes 0 to 10 and all behind byte 14.
//! `kind` and `schema` name the frozen struct of the body. Flag 1 says that it is signed; the other flags are reserved.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::SizeWriter;
use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::{BODY_BYTES_MAX, WireError};
use crate::{KeyId, SIGNATURE_BYTES};

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
const SIGNED: u8 = 1;
const FLAGS_AT: usize = 6;
const CRC_AT: usize = 11;
const HEADER_BYTES: usize = 15;
/// The key's short name and the signature.
const SIGNED_BYTES: usize = KeyId::BYTES + SIGNATURE_BYTES;

/// Without the limit a few bytes that claim a huge length would abort the process.
const BODY: Configuration<LittleEndian, Varint, Limit<BODY_BYTES_MAX>> =
    bincode::config::standard().with_limit::<BODY_BYTES_MAX>();

/// A sound envelope: its checksum is right and nothing follows its body.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) kind: u8,
    pub(super) schema: u16,
    pub(super) signed: Option<Signed<'a>>,
    body: &'a [u8],
}

/// What a signature covers of a message, and the signature. Nothing says yet that it is right.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) by: KeyId,
    pub(super) signature: &'a [u8; SIGNATURE_BYTES],
    header: &'a [u8],
    body: &'a [u8],
}

impl Signed<'_> {
    /// Appends what the signature covers.
    pub(super) fn cover(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.header);
        text.extend_from_slice(self.body);
    }

    /// How many bytes that are.
    pub(super) fn covered_bytes(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

/// The bytes of `body` in its envelope.
pub(super) fn seal(kind: u8, schema: u16, body: &impl Encode) -> Bytes {
    let mut sealed = vec![0; HEADER_BYTES];
    pack(body, &mut sealed);
    let length = u32::try_from(sealed.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    let [s0, s1] = schema.to_be_bytes();
    let [l0, l1, l2, l3] = length.to_be_bytes();
    let covered = [MAGIC[0], MAGIC[1], VERSION, kind, s0, s1, 0, l0, l1, l2, l3];
    sealed[..CRC_AT].copy_from_slice(&covered);
    close(&mut sealed);
    sealed.into()
}

/// A sealed message with a signature by that key behind it: `sign` makes it from the header and the body that it covers.
pub(super) fn seal_signed(
    sealed: &[u8],
    by: KeyId,
    sign: impl FnOnce(&[u8], &[u8]) -> [u8; SIGNATURE_BYTES],
) -> Result<Bytes, WireError> {
    if Envelope::open(sealed)?.signed.is_some() {
        return Err(WireError::Malformed("is signed already"));
    }
    let mut signed = Vec::with_capacity(sealed.len() + SIGNED_BYTES);
    signed.extend_from_slice(sealed);
    signed[FLAGS_AT] |= SIGNED;
    let signature = sign(&signed[..CRC_AT], &signed[HEADER_BYTES..]);
    signed.extend_from_slice(&by.to_bytes());
    signed.extend_from_slice(&signature);
    close(&mut signed);
    Ok(signed.into())
}

/// Writes the checksum, which is the last that is known.
fn close(sealed: &mut [u8]) {
    let crc = checksum(&sealed[..CRC_AT], &sealed[HEADER_BYTES..]);
    sealed[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
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
        let (header, rest) = bytes
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
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if length > BODY_BYTES_MAX {
            return Err(WireError::Malformed("its body is longer than the limit"));
        }
        let behind = if flags & SIGNED == 0 { 0 } else { SIGNED_BYTES };
        if rest.len() != length + behind {
            return Err(WireError::Malformed("its body is not as long as it says"));
        }
        if checksum(&header[..CRC_AT], rest) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(WireError::Malformed("its checksum is wrong"));
        }
        if flags & !SIGNED != 0 {
            return Err(WireError::unknown("flags", flags));
        }
        let (body, behind) = rest.split_at(length);
        let signed = behind.split_first_chunk().and_then(|(by, signature)| {
            let (by, signature) = (KeyId::from_bytes(*by), signature.try_into().ok()?);
            Some(Signed { by, signature, header: &header[..CRC_AT], body })
        });
        Ok(Self { kind, schema: u16::from_be_bytes([s0, s1]), signed, body })
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

fn checksum(header: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), rest)
}
