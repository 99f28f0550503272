//! Signed envelopes and the keys that are trusted.

use std::sync::LazyLock;

use schemas::wire::{self, Spot};
use schemas::{PublicKey, SigningKey, Trust, TrustedKeys};

use super::message;

const HERE: Spot<'_> = Spot { topic: "normal", partition: 1 };
const THERE: Spot<'_> = Spot { topic: "normal", partition: 2 };
/// Of no installation, and of no message in the corpus.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIDk1SwPbfjAmvjzq51kgch4TZBSfXgmaxIkzYVmbZ3uM\n\
    -----END PRIVATE KEY-----\n";

static SIGNING: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(KEY).expect("a private key"));
static TRUSTED: LazyLock<TrustedKeys> =
    LazyLock::new(|| SIGNING.public().to_string().parse().expect("a public key"));

pub(super) fn run(bytes: &[u8]) {
    let trust = Trust::Keys(TRUSTED.clone());
    for bytes in message::both(bytes) {
        assert!(wire::verify(&bytes, HERE, &trust).is_err(), "forged");
        let unsigned = Trust::KeysOrUnsigned(TRUSTED.clone());
        assert!(wire::verify(&bytes, HERE, &unsigned).is_err() || bytes[6] & 1 == 0, "forged");
        if let Ok(signed) = wire::sign(&bytes, HERE, &SIGNING) {
            assert_eq!(wire::verify(&signed, HERE, &trust), Ok(()));
            assert!(wire::verify(&signed, THERE, &trust).is_err(), "believed elsewhere");
            altered(&signed, &bytes, &trust);
        }
    }
    keys(bytes);
}

/// Changes a byte that the input itself chooses.
fn altered(signed: &[u8], by: &[u8], trust: &Trust) {
    let chosen = by.iter().rev().take(4).fold(0, |at, byte| at << 8 | usize::from(*byte));
    let mut altered = signed.to_vec();
    let at = chosen % altered.len();
    altered[at] ^= by.last().map_or(1, |byte| byte | 1);
    let mended = message::mended(altered);
    assert!(mended == signed || wire::verify(&mended, HERE, trust).is_err(), "byte {at} altered");
}

fn keys(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string().parse::<PublicKey>().ok(), Some(key));
    }
    if let Ok(key) = SigningKey::from_pem(text) {
        let again = SigningKey::from_pem(&key.to_pem().expect("a key")).expect("a key");
        assert_eq!(again.public(), key.public());
    }
    if let Ok(keys) = text.parse::<TrustedKeys>() {
        assert!((1..=schemas::TRUSTED_KEYS_MAX).contains(&keys.len()));
    }
}
