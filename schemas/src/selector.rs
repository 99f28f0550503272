//! Selectors: which objects are stale, and which selector includes which.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Host, Path, Query, Refusal, Scheme};

/// Longest tag in bytes.
pub const TAG_BYTES_MAX: usize = 256;
/// Longest raw key in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// A cache group: 1 to 256 bytes of 0x21-0x7E without comma, double quote and backslash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

/// A raw key of a data cache: 1 to 512 bytes of 0x21-0x7E.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

fn printable(
    what: &'static str,
    text: &str,
    bytes_max: usize,
    banned: &[char],
) -> Result<(), Refusal> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(Refusal::new(
            what,
            format!("is {} bytes long; give 1 to {bytes_max}", text.len()),
        ));
    }
    match text.char_indices().find(|(_, c)| !('\x21'..='\x7e').contains(c) || banned.contains(c)) {
        Some((at, c)) => Err(Refusal::new(
            what,
            format!(
                "holds {c:?} at byte {at}; give printable ASCII without space{}",
                if banned.is_empty() { "" } else { ", comma, double quote and backslash" }
            ),
        )),
        None => Ok(()),
    }
}

macro_rules! atom {
    ($name:ident, $what:literal, $bytes_max:expr, $banned:expr) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                printable($what, text, $bytes_max, $banned)?;
                Ok(Self(text.into()))
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
    };
}

atom!(Tag, "tag", TAG_BYTES_MAX, &[',', '"', '\\']);
atom!(Key, "key", KEY_BYTES_MAX, &[]);

/// Whether a URL's query counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryMatch {
    /// This query, or none.
    Exact(Option<Query>),
    /// Whatever stands behind the question mark, and nothing too.
    Any,
}

/// What is stale, within one site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// One address.
    Url {
        /// Counts only where a cache keys on it.
        scheme: Scheme,
        /// The host.
        host: Host,
        /// The path.
        path: Path,
        /// The query.
        query: QueryMatch,
    },
    /// Everything below a path of whole segments: `/blog` covers `/blog`, `/blog/...` and
    /// `/blog?...`, not `/blogger`; `/blog/` does not cover `/blog`.
    Prefix {
        /// The host.
        host: Host,
        /// The path.
        path: Path,
    },
    /// A cache group.
    Tag(Tag),
    /// A raw key of a data cache.
    Key(Key),
    /// All of the site.
    Everything,
}

/// The kinds of selector that a cache may or may not be able to purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectorKind {
    /// An exact URL.
    Url,
    /// A URL with any query.
    UrlAnyQuery,
    /// A path prefix.
    Prefix,
    /// A tag.
    Tag,
    /// A raw key.
    Key,
    /// The whole site.
    Everything,
}

impl Selector {
    /// Its kind.
    pub fn kind(&self) -> SelectorKind {
        match self {
            Self::Url { query: QueryMatch::Exact(_), .. } => SelectorKind::Url,
            Self::Url { query: QueryMatch::Any, .. } => SelectorKind::UrlAnyQuery,
            Self::Prefix { .. } => SelectorKind::Prefix,
            Self::Tag(_) => SelectorKind::Tag,
            Self::Key(_) => SelectorKind::Key,
            Self::Everything => SelectorKind::Everything,
        }
    }

    /// Its host, where it has one.
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::Url { host, .. } | Self::Prefix { host, .. } => Some(host),
            Self::Tag(_) | Self::Key(_) | Self::Everything => None,
        }
    }

    /// The wider selectors of the same site that include this one, nearest first, without itself.
    /// A URL with any query includes each of its exact forms; a prefix includes what lies below it.
    pub fn wider(&self) -> Vec<Self> {
        let mut wider = Vec::new();
        match self {
            Self::Url { scheme, host, path, query } => {
                if matches!(query, QueryMatch::Exact(_)) {
                    wider.push(Self::Url {
                        scheme: *scheme,
                        host: host.clone(),
                        path: path.clone(),
                        query: QueryMatch::Any,
                    });
                }
                wider.extend(path.prefixes().map(|path| Self::Prefix { host: host.clone(), path }));
            }
            Self::Prefix { host, path } => {
                wider.extend(
                    path.prefixes()
                        .filter(|wider| wider != path)
                        .map(|path| Self::Prefix { host: host.clone(), path }),
                );
            }
            Self::Tag(_) | Self::Key(_) => {}
            Self::Everything => return wider,
        }
        wider.push(Self::Everything);
        wider
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { scheme, host, path, query } => {
                write!(f, "url {}://{host}{path}", scheme.as_str())?;
                match query {
                    QueryMatch::Exact(Some(query)) => write!(f, "?{query}"),
                    QueryMatch::Exact(None) => Ok(()),
                    QueryMatch::Any => f.write_str(" (any query)"),
                }
            }
            Self::Prefix { host, path } => write!(f, "prefix {host}{path}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}
