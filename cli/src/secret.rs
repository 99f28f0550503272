//! Secrets of tokens.

use anyhow::anyhow;

const BYTES: usize = 32;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// 256 random bits in hex digits.
pub(crate) fn new() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bits: {error}"))?;
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)]));
    Ok(bytes.into_iter().flat_map(digits).collect())
}
