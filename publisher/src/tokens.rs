//! Bearer tokens: whose secret it is, and what that one may do.

mod entry;
mod scope;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use self::entry::File;
use crate::audit::{KnownToken, KnownTokens, Trail};
use crate::budget::Rate;

pub use self::entry::TokenEntry;
pub use self::scope::{Act, Everything};
pub(crate) use self::scope::{Scope, listed};

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
        problem: String,
    },
}

/// Everyone who may use the API.
#[derive(Debug)]
pub struct Tokens(Vec<Arc<Token>>);

/// Everyone who may use the API now; others may later. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenBook {
    tokens: Arc<RwLock<Arc<Tokens>>>,
    /// Is told of what changes.
    trail: Trail,
}

impl TokenBook {
    pub(crate) fn new(tokens: Tokens, trail: Trail) -> Self {
        trail.note_tokens(tokens.known());
        Self { tokens: Arc::new(RwLock::new(Arc::new(tokens))), trail }
    }

    pub(crate) fn current(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read())
    }

    /// From now on these may use the API, and nobody else.
    pub fn replace(&self, tokens: Tokens) {
        self.trail.note_tokens(tokens.known());
        *self.tokens.write() = Arc::new(tokens);
    }
}

/// One who may use the API.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) name: String,
    digest: [u8; 32],
    /// What the audit trail may know of it.
    known: KnownToken,
    /// Why it may not be used at all: since when.
    ends: Option<(Ending, Timestamp)>,
    pub(crate) scope: Scope,
    pub(crate) budget: Option<Rate>,
}

/// How a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Expired,
    Revoked,
}

impl Tokens {
    /// Reads a tokens file. Blocks on the disk, for a moment.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        Self::whole(File::read(path)?, path)
    }

    /// The tokens in the text of such a file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TokensError> {
        Self::whole(File::parse(text, path)?, path)
    }

    fn whole(file: File, path: &Path) -> Result<Self, TokensError> {
        Self::of(file.token).map_err(|(at, problem)| TokensError::Entry {
            path: path.to_owned(),
            at,
            problem,
        })
    }

    fn of(entries: Vec<TokenEntry>) -> Result<Self, (usize, String)> {
        let mut names = BTreeSet::new();
        let mut tokens = Vec::new();
        for (at, entry) in (1..).zip(entries) {
            if entry.name.is_empty() || !names.insert(entry.name.clone()) {
                return Err((at, "its name is empty or taken; give each its own".to_owned()));
            }
            tokens.push(Arc::new(entry.token().map_err(|problem| (at, problem))?));
        }
        if tokens.is_empty() {
            return Err((1, "there is none; add a [[token]]".to_owned()));
        }
        Ok(Self(tokens))
    }

    /// What the audit trail may know of them.
    fn known(&self) -> KnownTokens {
        KnownTokens(self.0.iter().map(|it| (it.name.clone(), it.known.clone())).collect())
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|token| token.name.clone()).collect()
    }

    /// Whose secret it is. Takes as long for a wrong one as for a right one.
    pub(crate) fn bearer(&self, secret: &[u8]) -> Option<&Arc<Token>> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut found = u64::MAX;
        for (at, token) in (0_u64..).zip(&self.0) {
            let same: Choice = digest.ct_eq(&token.digest);
            found.conditional_assign(&at, same);
        }
        usize::try_from(found).ok().and_then(|at| self.0.get(at))
    }
}

impl Token {
    /// Why it may not be used any more at `now`.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<String> {
        let (ending, since) = self.ends.filter(|(_, since)| *since <= now)?;
        let how = match ending {
            Ending::Expired => "expired",
            Ending::Revoked => "was revoked",
        };
        Some(format!("the token {:?} {how} at {since}; make a new one", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `test`.
    const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn parse(text: &str) -> Result<Tokens, (usize, String)> {
        Tokens::of(toml::from_str::<File>(text).unwrap().token)
    }

    #[test]
    fn a_secret_is_known_by_its_digest_alone() {
        let other = HASH.replace('9', "8");
        let tokens = parse(&format!(
            "[[token]]\nname = 'cms'\nhash = '{HASH}'\n[[token]]\nname = 'b'\nhash = '{other}'"
        ));
        let tokens = tokens.unwrap();
        let bearer = |secret: &[u8]| tokens.bearer(secret).map(|token| token.name.as_str());
        assert_eq!(bearer(b"test"), Some("cms"));
        assert_eq!(bearer(b"tesT"), None);
        assert_eq!(bearer(b""), None);
    }

    #[test]
    fn a_token_ends_when_it_expires_or_is_revoked_whichever_is_first() {
        let (early, late) = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
        for (ends, named) in [
            (format!("expires = '{early}'\n"), Some("expired")),
            (format!("revoked = '{early}'\nexpires = '{late}'\n"), Some("revoked")),
            (format!("revoked = '{late}'\nexpires = '{early}'\n"), Some("expired")),
            (String::new(), None),
        ] {
            let tokens = parse(&format!("[[token]]\nname = 'cms'\nhash = '{HASH}'\n{ends}"));
            let tokens = tokens.unwrap();
            let ended = |at: &str| tokens.0[0].ended(at.parse().unwrap());
            assert_eq!(ended("2026-02-28T23:59:59Z"), None);
            let told = ended(early);
            assert_eq!(told.is_some(), named.is_some(), "{ends}");
            assert!(told.is_none_or(|told| told.contains(named.unwrap())), "{ends}");
        }
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
            (format!("{good}sites = ['shop']\nallow = ['tag', 'flush']"), 1),
            (format!("{good}sites = []"), 1),
            (format!("{good}allow = []"), 1),
        ] {
            assert_eq!(parse(&text).unwrap_err().0, at, "{text}");
        }
    }
}
