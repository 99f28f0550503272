//! Bearer tokens: a file of names and digests of secrets.
//!
//! ```toml
//! [[token]]
//! name = "cms"
//! hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! ```
//!
//! A secret is 256 random bits, so one fast digest protects it; the file can be appended to, and read again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Longest tokens file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a tokens file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not a tokens file.
    #[error("{} is not a tokens file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// An entry is wrong.
    #[error("{}: token {at}: {problem}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        at: usize,
        /// What is wrong with it, and the fix.
        problem: &'static str,
    },
}

/// Everyone who may use the API.
#[derive(Debug)]
pub struct Tokens(Vec<Token>);

/// Everyone who may use the API now; others may later. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenBook(Arc<RwLock<Arc<Tokens>>>);

impl TokenBook {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(tokens))))
    }

    pub(crate) fn current(&self) -> Arc<Tokens> {
        Arc::clone(&self.0.read())
    }

    /// From now on these may use the API, and nobody else.
    pub fn replace(&self, tokens: Tokens) {
        *self.0.write() = Arc::new(tokens);
    }
}

#[derive(Debug)]
struct Token {
    name: String,
    digest: [u8; 32],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
}

impl Tokens {
    /// Reads a tokens file. Blocks on the disk, for a moment.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let failed = |source| TokensError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(failed)?.len();
        if length > FILE_BYTES_MAX {
            return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let file: File = toml::from_str(&text).map_err(|error| TokensError::Syntax {
            path: path.to_owned(),
            source: Box::new(error),
        })?;
        Self::of(file).map_err(|(at, problem)| TokensError::Entry {
            path: path.to_owned(),
            at,
            problem,
        })
    }

    fn of(file: File) -> Result<Self, (usize, &'static str)> {
        let mut names = BTreeSet::new();
        let mut tokens = Vec::new();
        for (at, Entry { name, hash }) in (1..).zip(file.token) {
            if name.is_empty() || !names.insert(name.clone()) {
                return Err((at, "its name is empty or taken; give each its own"));
            }
            let digest = hash.strip_prefix("sha256:").and_then(unhex);
            let digest = digest.ok_or((at, "its hash is not \"sha256:\" and 64 hex digits"))?;
            tokens.push(Token { name, digest });
        }
        if tokens.is_empty() {
            return Err((1, "there is none; add a [[token]]"));
        }
        Ok(Self(tokens))
    }

    /// Whose secret it is. Takes as long for a wrong one as for a right one.
    pub(crate) fn name_of(&self, secret: &[u8]) -> Option<&str> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut found = u64::MAX;
        for (at, token) in (0_u64..).zip(&self.0) {
            let same: Choice = digest.ct_eq(&token.digest);
            found.conditional_assign(&at, same);
        }
        let token = usize::try_from(found).ok().and_then(|at| self.0.get(at));
        token.map(|token| token.name.as_str())
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `test`.
    const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn parse(text: &str) -> Result<Tokens, (usize, &'static str)> {
        Tokens::of(toml::from_str(text).unwrap())
    }

    #[test]
    fn a_secret_is_known_by_its_digest_alone() {
        let other = HASH.replace('9', "8");
        let tokens = parse(&format!(
            "[[token]]\nname = 'cms'\nhash = '{HASH}'\n[[token]]\nname = 'b'\nhash = '{other}'"
        ));
        let tokens = tokens.unwrap();
        assert_eq!(tokens.name_of(b"test"), Some("cms"));
        assert_eq!(tokens.name_of(b"tesT"), None);
        assert_eq!(tokens.name_of(b""), None);
    }

    #[test]
    fn an_entry_that_cannot_work_is_refused_with_its_place() {
        let good = format!("[[token]]\nname = 'cms'\nhash = '{HASH}'\n");
        for (text, at) in [
            (String::new(), 1),
            (format!("{good}{good}"), 2),
            (format!("{good}[[token]]\nname = 'b'\nhash = 'secret'"), 2),
            (format!("[[token]]\nname = 'b'\nhash = '{}'", HASH.replace('9', "g")), 1),
            (format!("[[token]]\nname = 'b'\nhash = '{}'", &HASH[..70]), 1),
        ] {
            assert_eq!(parse(&text).unwrap_err().0, at, "{text}");
        }
    }
}
