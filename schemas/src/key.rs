//! Keys: who may speak on the log, and how a reader knows.

mod public;
mod signing;
mod trust;

pub use self::public::{KeyId, PublicKey};
pub use self::signing::SigningKey;
pub use self::trust::{TRUSTED_KEYS_MAX, Trust, TrustedKeys};

/// Length of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Why a text is no key, or no set of keys. Never shows the text: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a private key.
    #[error("holds no Ed25519 private key in PEM (PKCS #8); `purgebus key create` makes one")]
    NotPrivate,
    /// Not a public key.
    #[error("is not \"ed25519\" and 32 bytes in base64, as `purgebus key create` prints them")]
    NotPublic,
    /// One line of a set is wrong.
    #[error("line {line}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: Box<KeyError>,
    },
    /// A set of none trusts nobody.
    #[error("holds no key; write one on each line, as `purgebus key create` prints them")]
    None,
    /// More than a set holds.
    #[error("holds more than {TRUSTED_KEYS_MAX} keys")]
    TooMany,
    /// The system gives no random bits.
    #[error("no key could be made: the system gives no random bits")]
    NoRandomness,
}
