//! The tokens file.
//!
//! ```toml
//! [[token]]
//! name = "cms"
//! hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! sites = ["shop"]
//! allow = ["url", "tag", "read"]
//! budget = "100/s"
//! expires = "2027-01-01T00:00:00Z"
//! ```
//!
//! A secret is 256 random bits, so one fast digest protects it; the file can be appended to, and read again.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use schemas::{Priority, Region, SiteName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::scope::{Act, Everything, Scope};
use super::{Ending, Token, TokensError};
use crate::audit::KnownToken;
use crate::budget::Rate;

/// Longest tokens file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Before the digits of a hash.
const ALGORITHM: &str = "sha256:";
/// Digits of a hash that the audit trail tells.
const HASH_DIGITS_TOLD: usize = 8;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A tokens file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) token: Vec<TokenEntry>,
}

/// One `[[token]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Its name: who did it, in logs.
    pub name: String,
    /// `sha256:` and the hex digits of its secret's SHA-256.
    pub hash: String,
    /// The sites that it may purge and read of; every site if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<BTreeSet<SiteName>>,
    /// What it may do.
    #[serde(default = "Act::usual")]
    pub allow: BTreeSet<Act>,
    /// Whether it may purge whole sites.
    #[serde(default, skip_serializing_if = "is_default")]
    pub everything: Everything,
    /// The regions that it may purge; every region if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<BTreeSet<Region>>,
    /// The priorities that it may ask for; every one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priorities: Option<BTreeSet<Priority>>,
    /// How much it may purge; no bound if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Rate>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, TokensError> {
        let failed = |source| TokensError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(failed)?.len();
        if length > FILE_BYTES_MAX {
            return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, TokensError> {
        toml::from_str(text)
            .map_err(|error| TokensError::Syntax { path: path.to_owned(), source: Box::new(error) })
    }
}

impl TokenEntry {
    /// The `hash` of a secret.
    pub fn hash_of(secret: &str) -> String {
        let digits = |byte: u8| [byte >> 4, byte & 15].map(|it| char::from(HEX[usize::from(it)]));
        let digest = Sha256::digest(secret).into_iter();
        format!("{ALGORITHM}{}", digest.flat_map(digits).collect::<String>())
    }

    /// All entries of a tokens file, as they are written. Blocks on the disk, for a moment.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, TokensError> {
        File::read(path).map(|file| file.token)
    }

    /// What the audit trail may know of it: nothing by which its secret could be tried.
    fn known(&self) -> KnownToken {
        let written = serde_json::to_string(self).unwrap_or_default();
        KnownToken {
            hash: self.hash.chars().take(ALGORITHM.len() + HASH_DIGITS_TOLD).collect(),
            entry: Self::hash_of(&written),
            revoked: self.revoked.is_some(),
        }
    }

    /// What it stands for, or what is wrong with it and the fix.
    pub(super) fn token(self) -> Result<Token, String> {
        let known = self.known();
        let digest = self.hash.strip_prefix(ALGORITHM).and_then(unhex);
        let digest = digest.ok_or("its hash is not \"sha256:\" and 64 hex digits")?;
        let scope = Scope {
            sites: some(self.sites, "sites")?,
            allow: some(Some(self.allow), "allow")?.unwrap_or_default(),
            everything: self.everything,
            regions: some(self.regions, "regions")?,
            priorities: some(self.priorities, "priorities")?,
        };
        let everywhere = scope.allow.iter().find(|act| act.is_of_every_site());
        if let (Some(act), Some(_)) = (everywhere, &scope.sites) {
            return Err(format!("{act} is about caches of every site; leave out sites, or {act}"));
        }
        let expires = self.expires.map(|at| (Ending::Expired, at));
        let revoked = self.revoked.map(|at| (Ending::Revoked, at));
        let ends = expires.into_iter().chain(revoked).min_by_key(|(_, at)| *at);
        Ok(Token { name: self.name, digest, known, ends, scope, budget: self.budget })
    }
}

fn some<T>(set: Option<BTreeSet<T>>, field: &str) -> Result<Option<BTreeSet<T>>, String> {
    match set {
        Some(set) if set.is_empty() => {
            Err(format!("its {field} names none; leave it out, or name some"))
        }
        set => Ok(set),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
