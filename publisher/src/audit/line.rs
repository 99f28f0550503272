//! One line of a trail, and how each is chained to the one before.
//!
//! ```text
//! {"seq":17,"previous":"<hash of line 16>","at":"...","what":"...", ... ,"hash":"<hash of this line>"}
//!                                                                       ^
//!          the SHA-256 of all that stands before this comma ------------+
//! ```
//!
//! A line tells its own hash, so that a line that was changed is told from one whose neighbour is gone.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Longest line with its end: longer ones are cut before they are written, and none is read.
pub(crate) const LINE_BYTES_MAX: usize = 80 << 10;

const SEQUENCE: &[u8] = b"{\"seq\":";
const PREVIOUS: &[u8] = b",\"previous\":\"";
const AT: &[u8] = b"\",\"at\":\"";
const WHAT: &[u8] = b",\"what\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
const HEX: &[u8; 16] = b"0123456789abcdef";
const HASH_HEX: usize = 64;

/// The hash of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// What stands before the first line of a trail.
    pub(crate) const NONE: Self = Self([0; 32]);

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its digits, in small letters.
    pub(crate) fn hex(self) -> [u8; HASH_HEX] {
        let mut digits = [0; HASH_HEX];
        for (at, byte) in self.0.into_iter().enumerate() {
            digits[2 * at] = HEX[usize::from(byte >> 4)];
            digits[2 * at + 1] = HEX[usize::from(byte & 15)];
        }
        digits
    }

    /// From digits in small letters.
    pub(crate) fn from_hex(text: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != HASH_HEX {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Some(Self(hash))
    }
}

fn digit(letter: u8) -> Option<u8> {
    HEX.iter().position(|known| *known == letter).and_then(|at| u8::try_from(at).ok())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in a chain: the number of a line, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) hash: Hash,
}

impl Link {
    /// Before the first line.
    pub(crate) const NONE: Self = Self { sequence: 0, hash: Hash::NONE };

    /// Appends the line of `entry`, a JSON object that begins with `at`, to `out`, and answers its place.
    pub(crate) fn chain(self, entry: &[u8], out: &mut Vec<u8>) -> Self {
        let start = out.len();
        let sequence = self.sequence + 1;
        out.extend_from_slice(SEQUENCE);
        out.extend_from_slice(sequence.to_string().as_bytes());
        out.extend_from_slice(PREVIOUS);
        out.extend_from_slice(&self.hash.hex());
        out.extend_from_slice(b"\",");
        let inner = entry.strip_prefix(b"{").and_then(|entry| entry.strip_suffix(b"}"));
        out.extend_from_slice(inner.unwrap_or_default());
        let hash = Hash::of(&out[start..]);
        out.extend_from_slice(HASH);
        out.extend_from_slice(&hash.hex());
        out.extend_from_slice(END);
        out.push(b'\n');
        Self { sequence, hash }
    }
}

/// A line as it was read, its own hash checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its place.
    pub(crate) link: Link,
    /// The hash of the line before.
    pub(crate) previous: Hash,
    /// The whole of it, without its end: JSON.
    pub(crate) text: &'a [u8],
}

/// Why some bytes are no line of a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// They have not the form of one.
    Form,
    /// It is one, and does not have the hash that it tells.
    Hash,
}

impl<'a> Line<'a> {
    /// Reads a line, given without its end.
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, Broken> {
        let parts = Self::parts(text).ok_or(Broken::Form)?;
        let (sequence, previous, body, told) = parts;
        let hash = Hash::of(body);
        if hash != told {
            return Err(Broken::Hash);
        }
        Ok(Self { link: Link { sequence, hash }, previous, text })
    }

    fn parts(text: &'a [u8]) -> Option<(u64, Hash, &'a [u8], Hash)> {
        let told = text.strip_suffix(END)?;
        let (told, hex) = told.split_at_checked(told.len().checked_sub(HASH_HEX)?)?;
        let body = told.strip_suffix(HASH)?;
        let (sequence, rest) = sequence_of(body)?;
        let previous = rest.strip_prefix(PREVIOUS)?.split_at_checked(HASH_HEX)?.0;
        Some((sequence, Hash::from_hex(previous)?, body, Hash::from_hex(hex)?))
    }

    /// When it says that it was written; without reading it as JSON.
    pub(crate) fn at(text: &[u8]) -> Option<Timestamp> {
        let (at, _) = Self::at_and_rest(text)?;
        std::str::from_utf8(at).ok()?.parse().ok()
    }

    /// What it says that happened; without reading it as JSON.
    pub(crate) fn what(text: &[u8]) -> Option<&[u8]> {
        let (_, rest) = Self::at_and_rest(text)?;
        Some(until_quote(rest.strip_prefix(WHAT)?)?.0)
    }

    fn at_and_rest(text: &[u8]) -> Option<(&[u8], &[u8])> {
        let (_, rest) = sequence_of(text)?;
        until_quote(rest.strip_prefix(PREVIOUS)?.get(HASH_HEX..)?.strip_prefix(AT)?)
    }
}

fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|byte| *byte == b'"')?)?;
    Some((before, &rest[1..]))
}

/// The number that a line begins with, and what comes after it.
fn sequence_of(text: &[u8]) -> Option<(u64, &[u8])> {
    let rest = text.strip_prefix(SEQUENCE)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    // One spelling for each number: a line has one form.
    if digits.first() == Some(&b'0') {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &[u8] = br#"{"at":"2026-03-01T10:00:00Z","what":"publish","who":"cms"}"#;

    fn written(before: Link) -> (Vec<u8>, Link) {
        let mut out = Vec::new();
        let link = before.chain(ENTRY, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        (out, link)
    }

    #[test]
    fn a_line_is_json_and_comes_back_with_its_place() {
        let (text, place) = written(Link { sequence: 16, hash: Hash([7; 32]) });
        let line = Line::read(&text).unwrap();
        assert_eq!((line.link, line.previous), (place, Hash([7; 32])));
        assert_eq!(place.sequence, 17);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&json["seq"], &json["what"]), (&17.into(), &"publish".into()));
        assert_eq!(json["hash"], place.hash.to_string());
        assert_eq!(Line::at(&text), Some("2026-03-01T10:00:00Z".parse().unwrap()));
        assert_eq!(Line::what(&text), Some(&b"publish"[..]));
    }

    #[test]
    fn a_hash_is_what_any_tool_computes_of_what_stands_before_it() {
        let (text, link) = written(Link::NONE);
        let comma = text.len() - HASH.len() - HASH_HEX - END.len();
        assert_eq!(Hash(Sha256::digest(&text[..comma]).into()), link.hash);
        assert!(text[comma..].starts_with(b",\"hash\":\""));
    }

    proptest! {
        #[test]
        fn any_byte_that_is_another_is_seen(at in 0..400_usize, by in 1..=255_u8) {
            let (mut text, _) = written(Link { sequence: 9, hash: Hash([1; 32]) });
            let at = at % text.len();
            text[at] ^= by;
            prop_assert!(Line::read(&text).is_err());
        }

        #[test]
        fn whatever_the_bytes_reading_ends(bytes: Vec<u8>) {
            prop_assert!(Line::read(&bytes).is_err());
            Line::at(&bytes);
            Line::what(&bytes);
        }
    }
}
