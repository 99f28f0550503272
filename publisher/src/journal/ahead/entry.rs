//! What a record says of a commit: all that the tables need to take it again. Pure.

use broker_adapter::Partition;
use bytes::{Buf, BufMut, Bytes, TryGetError};
use jiff::Timestamp;
use schemas::{LineId, Place, Priority};
use uuid::Uuid;

use super::super::stream::Stream;
use super::super::{Idempotency, Identity};

/// Bytes of other versions are refused.
const VERSION: u8 = 1;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub(in super::super) at: Timestamp,
    /// Whether the log lies in the same store, and took the frames too.
    pub(in super::super) shared: bool,
    pub(in super::super) frames: Vec<Kept>,
    pub(in super::super) keys: Vec<(Idempotency, Identity)>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Kept {
    pub(in super::super) stream: Stream,
    pub(in super::super) sequence: u64,
    /// The next sequence of the stream to forward.
    pub(in super::super) forwarded: u64,
    pub(in super::super) bytes: Bytes,
}

impl Entry {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_i128_le(self.at.as_nanosecond());
        out.put_u8(self.shared.into());
        out.put_u64_le(self.frames.len() as u64);
        for Kept { stream, sequence, forwarded, bytes } in &self.frames {
            out.put_u8(stream.priority as u8);
            out.put_u32_le(stream.partition.0);
            out.put_u64_le(*sequence);
            out.put_u64_le(*forwarded);
            out.put_u64_le(bytes.len() as u64);
            out.put_slice(bytes);
        }
        out.put_u64_le(self.keys.len() as u64);
        for (Idempotency { key, request }, Identity { id, place, accepted_at }) in &self.keys {
            out.put_slice(key);
            out.put_slice(request);
            out.put_slice(id.as_bytes());
            out.put_slice(&place.line.to_bytes());
            out.put_u64_le(place.number);
            out.put_i64_le(accepted_at.as_microsecond());
        }
    }

    /// `None` for what [`Entry::encode`] did not write.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        let at = Timestamp::from_nanosecond(from.try_get_i128_le().ok()?).ok()?;
        let shared = from.try_get_u8().ok()? != 0;
        let (mut frames, mut keys) = (Vec::new(), Vec::new());
        for _ in 0..from.try_get_u64_le().ok()? {
            frames.push(Kept::decode(from)?);
        }
        for _ in 0..from.try_get_u64_le().ok()? {
            keys.push(decode_key(from)?);
        }
        from.is_empty().then_some(Self { at, shared, frames, keys })
    }
}

impl Kept {
    fn decode(from: &mut &[u8]) -> Option<Self> {
        let priority = from.try_get_u8().ok()?;
        let priority = Priority::ALL.into_iter().find(|known| *known as u8 == priority)?;
        let partition = Partition(from.try_get_u32_le().ok()?);
        let (sequence, forwarded) = (from.try_get_u64_le().ok()?, from.try_get_u64_le().ok()?);
        let length = usize::try_from(from.try_get_u64_le().ok()?).ok()?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        let bytes = Bytes::copy_from_slice(bytes);
        Some(Self { stream: Stream { priority, partition }, sequence, forwarded, bytes })
    }
}

fn decode_key(from: &mut &[u8]) -> Option<(Idempotency, Identity)> {
    let idempotency = Idempotency { key: array(from).ok()?, request: array(from).ok()? };
    let id = Uuid::from_bytes(array(from).ok()?);
    let line = LineId::from_bytes(array(from).ok()?);
    let place = Place { line, number: from.try_get_u64_le().ok()? };
    let accepted_at = Timestamp::from_microsecond(from.try_get_i64_le().ok()?).ok()?;
    Some((idempotency, Identity { id, place, accepted_at }))
}

fn array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], TryGetError> {
    let mut array = [0; N];
    from.try_copy_to_slice(&mut array)?;
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let line = LineId::from_bytes([3; 16]);
        let accepted_at = Timestamp::from_microsecond(1_800_000_000_000_001).unwrap();
        let frame = |priority, partition, sequence| Kept {
            stream: Stream { priority, partition: Partition(partition) },
            sequence,
            forwarded: 5,
            bytes: Bytes::from_static(b"a frame"),
        };
        let identity =
            Identity { id: Uuid::from_u128(9), place: Place { line, number: 8 }, accepted_at };
        Entry {
            at: Timestamp::from_nanosecond(1_800_000_000_000_000_001).unwrap(),
            shared: true,
            frames: vec![frame(Priority::Normal, 0, 6), frame(Priority::Critical, 7, 8)],
            keys: vec![(Idempotency { key: [1; 32], request: [2; 32] }, identity)],
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_shorter_or_longer_is() {
        let mut bytes = Vec::new();
        entry().encode(&mut bytes);
        assert_eq!(Entry::decode(&bytes), Some(entry()));
        for end in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..end]), None, "{end}");
        }
        bytes.push(0);
        assert_eq!(Entry::decode(&bytes), None);
    }

    #[test]
    fn bytes_of_another_version_are_not_guessed_at() {
        let mut bytes = Vec::new();
        entry().encode(&mut bytes);
        bytes[0] += 1;
        assert_eq!(Entry::decode(&bytes), None);
    }
}
