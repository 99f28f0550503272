//! Records, one after the other. Pure.
//!
//! ```text
//! checksum (4) | bytes of payload (4) | name (16) | number (8) | payload | zeros up to a multiple of 64
//! ```
//!
//! The checksum is the CRC-32C of all that follows it up to the zeros; numbers are little-endian and begin at 1.

/// Where records begin.
const ALIGNED_TO: usize = 64;
const CHECKSUM_BYTES: usize = 4;
const HEAD_BYTES: usize = CHECKSUM_BYTES + 4 + 16 + 8;

/// Writes one record into `buffer`, and nothing else.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    name: u128,
    number: u64,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    buffer.clear();
    buffer.extend_from_slice(&[0; 2 * CHECKSUM_BYTES]);
    buffer.extend_from_slice(&name.to_le_bytes());
    buffer.extend_from_slice(&number.to_le_bytes());
    payload(buffer);
    // What is longer than that fits into no file, and is not written.
    let bytes = u32::try_from(buffer.len() - HEAD_BYTES).unwrap_or(u32::MAX);
    buffer[CHECKSUM_BYTES..2 * CHECKSUM_BYTES].copy_from_slice(&bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&buffer[CHECKSUM_BYTES..]);
    buffer[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(ALIGNED_TO), 0);
}

/// The payloads of all records of that name, up to one that is torn: nobody was told of that. Where whole records
/// follow, it is not torn but damaged; then this answers where it lies.
pub(super) fn read(bytes: &[u8], name: u128) -> Result<Vec<&[u8]>, usize> {
    let (mut payloads, mut at) = (Vec::new(), 0);
    while let Some(record) = Record::at(bytes, at, name)
        && record.number == payloads.len() as u64 + 1
    {
        payloads.push(record.payload);
        at += (HEAD_BYTES + record.payload.len()).next_multiple_of(ALIGNED_TO);
    }
    let mut rest = (at..bytes.len()).step_by(ALIGNED_TO);
    if rest.any(|at| Record::at(bytes, at, name).is_some()) { Err(at) } else { Ok(payloads) }
}

/// A whole record.
struct Record<'a> {
    number: u64,
    payload: &'a [u8],
}

impl<'a> Record<'a> {
    fn at(bytes: &'a [u8], at: usize, name: u128) -> Option<Self> {
        let (checksum, rest) = bytes.get(at..)?.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (summed, _) =
            rest.split_at_checked((HEAD_BYTES - CHECKSUM_BYTES).checked_add(length)?)?;
        let (named, numbered) = summed[4..].split_first_chunk()?;
        let (number, payload) = numbered.split_first_chunk()?;
        let whole = u128::from_le_bytes(*named) == name
            && u32::from_le_bytes(*checksum) == crc32c::crc32c(summed);
        whole.then(|| Self { number: u64::from_le_bytes(*number), payload })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: u128 = 7;

    /// A file of these records, behind which lies what an earlier round has left, and where each ends.
    fn file(payloads: &[Vec<u8>], name: u128) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for (number, payload) in (1..).zip(payloads) {
            write(&mut buffer, name, number, |out| out.extend_from_slice(payload));
            bytes.extend_from_slice(&buffer);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6)
    }

    proptest! {
        #[test]
        fn a_file_that_is_cut_anywhere_has_every_record_before_the_cut(
            payloads in payloads(),
            cut in any::<prop::sample::Index>(),
            left in payloads(),
        ) {
            let (bytes, ends) = file(&payloads, NAME);
            let cut = cut.index(bytes.len() + 1);
            let mut torn = file(&left, NAME + 1).0;
            torn.resize(torn.len().max(cut), 0);
            torn[..cut].copy_from_slice(&bytes[..cut]);
            let read = read(&torn, NAME).expect("torn, not damaged");
            let whole = ends.iter().filter(|end| **end <= cut).count();
            // What lacks nothing but zeros is whole too.
            prop_assert!(read.len() == whole || read.len() == whole + 1);
            prop_assert!(read.iter().zip(&payloads).all(|(read, payload)| read == payload));
        }

        #[test]
        fn a_bit_that_flips_is_found_unless_it_says_nothing_or_lies_in_the_last_record(
            payloads in payloads(),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let (mut bytes, ends) = file(&payloads, NAME);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let hit = ends.iter().filter(|end| **end <= at).count();
            match read(&bytes, NAME) {
                Ok(read) if read.len() == payloads.len() => {
                    prop_assert!(read.iter().zip(&payloads).all(|(read, payload)| read == payload));
                }
                Ok(read) => prop_assert_eq!((hit, read.len()), (payloads.len() - 1, hit)),
                Err(damaged) => prop_assert_eq!(damaged, hit.checked_sub(1).map_or(0, |hit| ends[hit])),
            }
        }

        #[test]
        fn bytes_of_any_kind_are_no_records(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(read(&bytes, NAME), Ok(Vec::new()));
        }
    }
}
