//! Canonical addresses: one spelling for each host, path and query, and a reason for everything refused.
//!
//! Publishers *parse* (percent-encoding is normalised once); agents take only what is canonical already.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Longest path with its query, in bytes.
pub const PATH_BYTES_MAX: usize = 2_048;

/// `http` or `https`; counts only where a cache keys on it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    #[default]
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident, $canonicalise:path;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes only text that is canonical already.
            pub fn from_canonical(text: &str) -> Result<Self, Refusal> {
                let parsed: Self = text.parse()?;
                if parsed.as_str() == text {
                    Ok(parsed)
                } else {
                    Err(Refusal::new(stringify!($name), format!("is not canonical; that would be {parsed}")))
                }
            }

            /// The canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            /// Parses and canonicalises.
            fn from_str(text: &str) -> Result<Self, Refusal> {
                $canonicalise(text).map(|text| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refusal;

            fn try_from(text: String) -> Result<Self, Refusal> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )+};
}

text! {
    /// A host: lower-case letters, digits, hyphens and dots, with its port where that is not the scheme's own.
    Host, canonical_host;
    /// An absolute path: bytes 0x21 to 0x7E, percent-encoding normalised, no dot segments.
    Path, canonical_path;
    /// A query without its question mark; significant to the byte after normalisation.
    Query, canonical_query;
}

impl Path {
    /// The path prefixes that include this path, longest first: `/a/b` lies below `/a/b`, `/a/`, `/a` and `/`.
    pub fn prefixes(&self) -> impl Iterator<Item = Self> + '_ {
        let text = self.as_str();
        let cuts =
            text.char_indices().rev().filter(|(_, c)| *c == '/').flat_map(|(at, _)| [at + 1, at]);
        std::iter::once(text.len())
            .chain(cuts)
            .filter(|cut| *cut > 0)
            .scan(usize::MAX, |last, cut| {
                let new = cut != *last;
                *last = cut;
                Some(new.then_some(cut))
            })
            .flatten()
            .map(|cut| Self(text[..cut].into()))
    }
}

fn canonical_host(text: &str) -> Result<String, Refusal> {
    Ok(text.to_ascii_lowercase())
}

fn canonical_path(text: &str) -> Result<String, Refusal> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(Refusal::new("path", "does not start with '/'"))
    }
}

fn canonical_query(text: &str) -> Result<String, Refusal> {
    Ok(text.to_owned())
}

/// An absolute `http` or `https` URL, canonical in every part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    /// Its scheme.
    pub scheme: Scheme,
    /// Its host.
    pub host: Host,
    /// Its path; `/` where none was written.
    pub path: Path,
    /// Its query, if it has a question mark.
    pub query: Option<Query>,
}

impl FromStr for Url {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| Refusal::new("url", "is not absolute; write https://host/path"))?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(Refusal::new("url", "is neither http nor https")),
        };
        let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.parse()?)),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { scheme, host: host.parse()?, path: path.parse()?, query })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host, self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}
