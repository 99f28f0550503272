//! Signatures of messages: over all of them but their checksum, and over where they stand, so that a true message is
//! none in another place. The line and the publisher stand in the body.
//!
//! ```text
//! "purgebus signed message 1\n" | u8 length | topic | u32 partition | bytes 0 to 10 | body
//! ```

use bytes::Bytes;

use super::WireError;
use super::envelope::{self, Envelope, Signed};
use crate::{KeyId, SigningKey, Trust, TrustedKeys};

/// What no signature for another purpose begins with.
const PURPOSE: &[u8] = b"purgebus signed message 1\n";

/// Where a message stands: on a topic by its own name, whatever a broker calls it, and in which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
}

/// Why a message is not believed to be a publisher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It bears no signature.
    #[error("nobody has signed it")]
    Unsigned,
    /// It is signed, with a key that this reader does not know.
    #[error("it is signed with the key {0}, which is not among the trusted keys")]
    UnknownKey(KeyId),
    /// The signature is not that of these bytes in this place.
    #[error("its signature is wrong: it was altered, or put where it does not belong")]
    WrongSignature,
}

/// A message of `encode_log` or `encode_board`, signed for where it will stand.
pub fn sign(message: &[u8], spot: Spot<'_>, key: &SigningKey) -> Result<Bytes, WireError> {
    envelope::seal_signed(message, key.id(), |header, body| {
        let mut text = spot.preamble(header.len() + body.len());
        text.extend_from_slice(header);
        text.extend_from_slice(body);
        key.sign(&text)
    })
}

/// Whether a reader with this `trust` may believe the message that stands there; its body is not looked at.
pub fn verify(message: &[u8], spot: Spot<'_>, trust: &Trust) -> Result<(), WireError> {
    let (keys, unsigned) = match trust {
        Trust::Anyone => return Ok(()),
        Trust::Keys(keys) => (keys, false),
        Trust::KeysOrUnsigned(keys) => (keys, true),
    };
    match Envelope::open(message)?.signed {
        Some(signed) => Ok(signed.verify(spot, keys)?),
        None if unsigned => Ok(()),
        None => Err(Distrust::Unsigned.into()),
    }
}

impl Spot<'_> {
    /// What a signature covers before the message, with room for so many bytes of it.
    fn preamble(self, room: usize) -> Vec<u8> {
        let Spot { topic, partition } = self;
        let mut text = Vec::with_capacity(PURPOSE.len() + 1 + topic.len() + 4 + room);
        text.extend_from_slice(PURPOSE);
        text.push(u8::try_from(topic.len()).expect("topics have short names"));
        text.extend_from_slice(topic.as_bytes());
        text.extend_from_slice(&partition.to_be_bytes());
        text
    }
}

impl Signed<'_> {
    fn verify(&self, spot: Spot<'_>, keys: &TrustedKeys) -> Result<(), Distrust> {
        let key = keys.find(self.by).ok_or(Distrust::UnknownKey(self.by))?;
        let mut text = spot.preamble(self.covered_bytes());
        self.cover(&mut text);
        key.verify_sig(&text, self.signature).map_err(|_| Distrust::WrongSignature)
    }
}
