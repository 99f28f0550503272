//! A message is a publisher's where it was signed for, and nowhere else; with a byte of it changed, nowhere at all.

use proptest::prelude::*;
use schemas::wire::{self, Distrust, Spot, WireError};
use schemas::{SigningKey, Trust, TrustedKeys};

use crate::arbitrary;
use crate::golden::{SIGNED, golden};
use crate::message::{Message, decode};
use crate::samples::samples;

const HERE: Spot<'_> = Spot { topic: "normal", partition: 1 };

fn key() -> SigningKey {
    SigningKey::generate().expect("random bits")
}

fn trusted(keys: &[&SigningKey]) -> TrustedKeys {
    let lines: Vec<_> = keys.iter().map(|key| key.public().to_string()).collect();
    lines.join("\n").parse().expect("keys")
}

fn distrusted(distrust: Distrust) -> Result<(), WireError> {
    Err(WireError::Distrusted(distrust))
}

fn signed(message: &Message, key: &SigningKey) -> Vec<u8> {
    wire::sign(&message.encode(), HERE, key).expect("a message of ours").to_vec()
}

/// With the checksum right again, so that only the signature can tell.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..11]), &bytes[15..]);
    bytes[11..15].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_signed_message_means_what_it_meant_and_is_believed_where_it_stands() {
    let key = key();
    let trust = Trust::Keys(trusted(&[&key]));
    for (name, message) in samples() {
        let bytes = signed(&message, &key);
        assert_eq!(decode(&bytes), Ok(message), "{name}");
        assert_eq!(wire::verify(&bytes, HERE, &trust), Ok(()), "{name}");
        assert!(wire::sign(&bytes, HERE, &key).is_err(), "{name} is signed once");
    }
}

#[test]
fn in_another_place_a_message_is_none() {
    let key = key();
    let trust = Trust::Keys(trusted(&[&key]));
    for (name, message) in samples() {
        let bytes = signed(&message, &key);
        for (topic, partition) in [("critical", 1), ("norma", 1), ("normal", 0), ("normal", 257)] {
            let verified = wire::verify(&bytes, Spot { topic, partition }, &trust);
            assert_eq!(verified, distrusted(Distrust::WrongSignature), "{name} on {topic}");
        }
    }
}

#[test]
fn with_any_bit_flipped_under_a_right_checksum_nothing_is_believed() {
    let key = key();
    let trust = Trust::Keys(trusted(&[&key]));
    for (name, message) in samples() {
        let bytes = signed(&message, &key);
        // Of a long message not every bit: one signature takes as long as a thousand checksums.
        let step = bytes.len().div_ceil(100);
        let checksum = 11..15;
        let places =
            (0..bytes.len()).filter(|at| at % step == 0 || *at < 15 || bytes.len() - at < 73);
        for at in places.filter(|at| !checksum.contains(at)) {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            let verified = wire::verify(&with_checksum(altered), HERE, &trust);
            assert!(verified.is_err(), "{name} with byte {at} altered");
        }
    }
}

#[test]
fn only_trusted_keys_sign_and_old_and_new_ones_do_together() {
    let [old, new, other] = [(); 3].map(|()| key());
    let [(_, message), ..] = samples();
    let both = Trust::Keys(trusted(&[&old, &new]));
    for key in [&old, &new] {
        assert_eq!(wire::verify(&signed(&message, key), HERE, &both), Ok(()));
    }
    let stranger = signed(&message, &other);
    let unknown = distrusted(Distrust::UnknownKey(other.public().id()));
    assert_eq!(wire::verify(&stranger, HERE, &both), unknown);

    // Under the short name of another key.
    let mut pretending = stranger.clone();
    let at = pretending.len() - 72;
    pretending[at..at + 8].copy_from_slice(&new.public().id().to_bytes());
    let verified = wire::verify(&with_checksum(pretending), HERE, &both);
    assert_eq!(verified, distrusted(Distrust::WrongSignature));
}

#[test]
fn what_is_not_signed_is_believed_only_by_who_says_so() {
    let (ours, other) = (key(), key());
    let [(_, message), ..] = samples();
    let (bare, strange) = (message.encode(), signed(&message, &other));
    let keys = trusted(&[&ours]);
    let unknown = || distrusted(Distrust::UnknownKey(other.public().id()));
    for (trust, of_bare, of_strange) in [
        (Trust::Anyone, Ok(()), Ok(())),
        (Trust::Keys(keys.clone()), distrusted(Distrust::Unsigned), unknown()),
        (Trust::KeysOrUnsigned(keys), Ok(()), unknown()),
    ] {
        assert_eq!(wire::verify(&bare, HERE, &trust), of_bare, "{trust:?}");
        assert_eq!(wire::verify(&strange, HERE, &trust), of_strange, "{trust:?}");
    }
}

#[test]
fn a_signature_taken_off_or_put_on_without_its_flag_is_malformed() {
    let key = key();
    let [(_, message), ..] = samples();
    let bytes = signed(&message, &key);
    let malformed = Err(WireError::Malformed("its body is not as long as it says"));
    let cut = with_checksum(bytes[..bytes.len() - 72].to_vec());
    let mut unflagged = bytes;
    unflagged[6] = 0;
    for bytes in [cut, with_checksum(unflagged)] {
        assert_eq!(wire::verify(&bytes, HERE, &Trust::Keys(trusted(&[&key]))), malformed);
        assert!(decode(&bytes).is_err());
    }
}

/// A key for tests, in the form of `openssl genpkey`.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIFcDb4xhABHR/Hcd30lvyO4yIbcqCP6AAl3yizwOy1Ng\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn a_signature_once_released_is_right_for_ever() {
    let key = SigningKey::from_pem(PEM).expect("a key");
    let lost = samples().into_iter().find(|(name, _)| *name == "v1-lost").expect("a sample").1;
    let encoded = signed(&lost, &key);
    assert_eq!(encoded, golden(SIGNED, &encoded), "the bytes have changed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_change_and_no_other_place_of_any_message_is_believed(
        message in arbitrary::message(), at in any::<prop::sample::Index>(), change in 1..=u8::MAX,
        topic in "[a-z]{1,12}", partition in any::<u32>(),
    ) {
        let key = key();
        let trust = Trust::Keys(trusted(&[&key]));
        let spot = Spot { topic: &topic, partition };
        let bytes = wire::sign(&message.encode(), spot, &key).expect("a message of ours");
        prop_assert_eq!(wire::verify(&bytes, spot, &trust), Ok(()));
        let elsewhere = Spot { partition: partition.wrapping_add(1), ..spot };
        prop_assert!(wire::verify(&bytes, elsewhere, &trust).is_err());
        let longer = format!("{topic}x");
        let elsewhere = Spot { topic: &longer, ..spot };
        prop_assert!(wire::verify(&bytes, elsewhere, &trust).is_err());
        let at = at.index(bytes.len());
        let mut altered = bytes.to_vec();
        altered[at] ^= change;
        let verified = wire::verify(&with_checksum(altered), spot, &trust);
        prop_assert!((11..15).contains(&at) || verified.is_err());
    }

    #[test]
    fn noise_is_never_believed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(wire::verify(&bytes, HERE, &Trust::Keys(trusted(&[&key()]))).is_err());
    }
}
