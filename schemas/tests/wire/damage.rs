//! Damaged bytes are never taken for anything.

use proptest::prelude::*;
use schemas::wire::{WireError, decode_log};

use crate::arbitrary;
use crate::message::{decode, decode_everywhere};
use crate::samples::samples;

#[test]
fn cut_at_any_byte_nothing_is_understood() {
    for (name, message) in samples() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            let taken = decode(&bytes[..length]);
            assert!(taken.is_err(), "{name} cut to {length} bytes was taken for {taken:?}");
        }
    }
}

#[test]
fn with_any_bit_flipped_nothing_is_understood() {
    for (name, message) in samples() {
        let mut bytes = message.encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(decode(&bytes).is_err(), "{name} with bit {bit} of byte {at} flipped");
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn bytes_behind_the_body_are_refused() {
    for (name, message) in samples() {
        let mut bytes = message.encode();
        bytes.push(0);
        let malformed = WireError::Malformed("its body is not as long as it says");
        assert_eq!(decode(&bytes), Err(vec![malformed; 4]), "{name}");
    }
}

#[test]
fn a_message_in_the_wrong_place_is_unknown_there() {
    for (name, message) in samples() {
        let bytes = message.encode();
        let answers = decode_everywhere(&bytes);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{name}");
        let unknown = |answer: &Result<_, _>| matches!(answer, Err(WireError::Unknown { .. }));
        assert_eq!(answers.iter().filter(|answer| unknown(answer)).count(), 3, "{name}");
    }
}

#[test]
fn what_is_not_ours_says_so() {
    assert_eq!(decode_log(b""), Err(WireError::Malformed("shorter than its header")));
    assert_eq!(decode_log(&[0; 99]), Err(WireError::Malformed("does not begin with PB")));
}

proptest! {
    #[test]
    fn a_changed_byte_of_any_message_is_noticed(
        message in arbitrary::message(), at in any::<prop::sample::Index>(), change in 1..=u8::MAX,
    ) {
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(decode(&bytes).is_err());
        prop_assert!(decode(&bytes[..at]).is_err());
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}
