//! Percent-encoding with one spelling: what needs no encoding is decoded, hexadecimal digits are upper-case.
//!
//! A reserved character and its encoding stay two addresses (RFC 3986, 2.2): caches tell them apart.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, percent_encode_byte};

use super::PATH_BYTES_MAX;
use crate::Refusal;

/// Canonical `text`, in which bytes of `always_encoded` stand encoded; refuses what no client would send.
pub(super) fn canonical<'a>(
    what: &'static str,
    text: &'a str,
    always_encoded: &[u8],
) -> Result<Cow<'a, str>, Refusal> {
    if text.bytes().all(is_plain) {
        check_length(what, text.len())?;
        return Ok(text.into());
    }
    refuse_raw(what, text)?;
    let encoded = text.bytes().any(|byte| byte == b'%' || always_encoded.contains(&byte));
    let canonical =
        if encoded { spell(what, text, always_encoded)?.into() } else { Cow::from(text) };
    refuse_encoded(what, &canonical)?;
    check_length(what, canonical.len())?;
    Ok(canonical)
}

/// Whether a byte is its own and only spelling in every part of an address: most are.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'%' | b'#' | b'\\' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'^')
}

pub(super) fn check_length(what: &'static str, bytes: usize) -> Result<(), Refusal> {
    if bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    let reason =
        format!("is {bytes} bytes long; give at most {PATH_BYTES_MAX}, or purge a prefix or a tag");
    Err(Refusal::new(what, reason))
}

/// Refuses characters that must not stand unencoded, each with what to write instead.
fn refuse_raw(what: &'static str, text: &str) -> Result<(), Refusal> {
    let stranger = text
        .char_indices()
        .find(|(_, c)| !('\x21'..='\x7e').contains(c) || matches!(c, '#' | '\\'));
    let Some((at, c)) = stranger else { return Ok(()) };
    let fix = match c {
        ' ' => "write %20".into(),
        '#' => "leave the fragment out, or write %23".into(),
        '\\' => "write / between segments, or %5C".into(),
        c if c.is_control() => "no URL may hold control characters".into(),
        c => {
            let mut utf8 = [0; 4];
            let bytes = c.encode_utf8(&mut utf8).bytes();
            format!("write {}", bytes.map(percent_encode_byte).collect::<String>())
        }
    };
    Err(Refusal::new(what, format!("holds {c:?} at byte {at}; {fix}")))
}

/// Gives every byte its one spelling.
fn spell(what: &'static str, text: &str, always_encoded: &[u8]) -> Result<String, Refusal> {
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            if always_encoded.contains(&byte) {
                spelled.push_str(percent_encode_byte(byte));
            } else {
                spelled.push(byte.into());
            }
            continue;
        }
        let value = rest
            .first_chunk::<2>()
            .and_then(|[high, low]| Some(hexadecimal(*high)? << 4 | hexadecimal(*low)?));
        let Some(value) = value else {
            return Err(Refusal::new(
                what,
                "holds a '%' that two hexadecimal digits do not follow; write %25",
            ));
        };
        rest = &rest[2..];
        if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
            spelled.push(value.into());
        } else {
            spelled.push_str(percent_encode_byte(value));
        }
    }
    Ok(spelled)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    // A digit of base 16 fits.
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Refuses what may not stand even when encoded: bytes that are not UTF-8, and control characters.
fn refuse_encoded(what: &'static str, canonical: &str) -> Result<(), Refusal> {
    let decoded = percent_decode_str(canonical).decode_utf8().map_err(|_| {
        Refusal::new(what, "encodes bytes that are not UTF-8; encode the text as UTF-8")
    })?;
    match decoded.chars().find(|c| c.is_control()) {
        Some(c) => {
            let reason = format!("encodes the control character {c:?}; leave it out");
            Err(Refusal::new(what, reason))
        }
        None => Ok(()),
    }
}
