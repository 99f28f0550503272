//! Selectors: which objects are stale, and which selector includes which.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::text;
use crate::{Host, Path, Query, Refusal, Scheme};

/// Longest tag in bytes.
const TAG_BYTES_MAX: usize = 256;
/// Longest raw key in bytes.
const KEY_BYTES_MAX: usize = 512;

text! {
    /// A cache group: 1 to 256 bytes of 0x21-0x7E without comma, double quote and backslash.
    Tag = "tag", canonical_tag;
    /// A raw key of a data cache: 1 to 512 bytes of 0x21-0x7E.
    Key = "key", canonical_key;
}

fn canonical_tag<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let text = printable(what, text, TAG_BYTES_MAX)?;
    match text.find([',', '"', '\\']) {
        Some(at) => Err(Refusal::new(
            what,
            format!("holds a comma, double quote or backslash at byte {at}; leave it out"),
        )),
        None => Ok(text.into()),
    }
}

fn canonical_key<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    printable(what, text, KEY_BYTES_MAX).map(Cow::from)
}

fn printable<'a>(what: &'static str, text: &'a str, bytes_max: usize) -> Result<&'a str, Refusal> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(Refusal::new(
            what,
            format!("is {} bytes long; give 1 to {bytes_max}", text.len()),
        ));
    }
    match text.char_indices().find(|(_, c)| !('\x21'..='\x7e').contains(c)) {
        Some((at, c)) => Err(Refusal::new(
            what,
            format!("holds {c:?} at byte {at}; give printable ASCII without space"),
        )),
        None => Ok(text),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_keys_are_taken_as_written() {
        for text in ["article-7", "a:b/c;d=e", "!", "~", &"t".repeat(TAG_BYTES_MAX)] {
            assert_eq!(text.parse::<Tag>().map(String::from).as_deref(), Ok(text));
            assert_eq!(text.parse::<Key>().map(String::from).as_deref(), Ok(text));
        }
        for key in ["a,b", "\"a\"", "a\\b", &"k".repeat(KEY_BYTES_MAX)] {
            assert_eq!(key.parse::<Key>().map(String::from).as_deref(), Ok(key));
        }
    }

    #[test]
    fn strange_tags_are_refused_with_the_fix() {
        for (tag, reason) in [
            ("", "tag is 0 bytes long; give 1 to 256"),
            (&*"t".repeat(257), "tag is 257 bytes long; give 1 to 256"),
            ("a b", "tag holds ' ' at byte 1; give printable ASCII without space"),
            ("a\r\nb", "tag holds '\\r' at byte 1; give printable ASCII without space"),
            ("\0", "tag holds '\\0' at byte 0; give printable ASCII without space"),
            ("é", "tag holds 'é' at byte 0; give printable ASCII without space"),
            ("a,b", "tag holds a comma, double quote or backslash at byte 1; leave it out"),
            ("\"", "tag holds a comma, double quote or backslash at byte 0; leave it out"),
            ("a\\", "tag holds a comma, double quote or backslash at byte 1; leave it out"),
        ] {
            assert_eq!(tag.parse::<Tag>().expect_err(tag).to_string(), reason);
        }
    }

    #[test]
    fn strange_keys_are_refused() {
        for key in ["", &*"k".repeat(513), "a b", "a\n", "\u{7f}", "é"] {
            assert_eq!(key.parse::<Key>().expect_err(key).what(), "key");
        }
    }

    /// What caches hold: pages and data.
    #[derive(Debug)]
    enum Object {
        Page { scheme: Scheme, host: Host, path: String, query: Option<&'static str> },
        Tagged(&'static str),
        Data(&'static str),
    }

    /// The meaning of a selector, object by object.
    fn matches(selector: &Selector, object: &Object) -> bool {
        match (selector, object) {
            (Selector::Everything, _) => true,
            (Selector::Tag(tag), Object::Tagged(held)) => tag.as_str() == *held,
            (Selector::Key(key), Object::Data(held)) => key.as_str() == *held,
            (Selector::Url { scheme, host, path, query }, Object::Page { .. }) => {
                let Object::Page { scheme: s, host: h, path: p, query: q } = object else {
                    return false;
                };
                let queries_match = match query {
                    QueryMatch::Exact(query) => query.as_ref().map(Query::as_str) == *q,
                    QueryMatch::Any => true,
                };
                (scheme, host, path.as_str()) == (s, h, p) && queries_match
            }
            (Selector::Prefix { host, path }, Object::Page { host: h, path: p, .. }) => {
                let prefix = path.as_str();
                let below = p.strip_prefix(prefix);
                host == h
                    && below.is_some_and(|below| {
                        below.is_empty() || below.starts_with('/') || prefix.ends_with('/')
                    })
            }
            _ => false,
        }
    }

    fn hosts() -> [Host; 2] {
        ["a.com", "b.com"].map(|host| host.parse().unwrap())
    }

    /// Every path of `a` and `/` up to this length.
    fn paths(length_max: usize) -> Vec<String> {
        let mut paths = vec!["/".to_owned()];
        for length in 1..length_max {
            let longest: Vec<_> =
                paths.iter().filter(|path| path.len() == length).cloned().collect();
            paths.extend(longest.iter().flat_map(|path| [format!("{path}a"), format!("{path}/")]));
        }
        paths
    }

    fn objects() -> Vec<Object> {
        let mut objects = vec![Object::Tagged("t"), Object::Tagged("u"), Object::Data("t")];
        for scheme in [Scheme::Http, Scheme::Https] {
            for host in hosts() {
                for path in paths(5) {
                    objects.extend([None, Some(""), Some("q")].map(|query| Object::Page {
                        scheme,
                        host: host.clone(),
                        path: path.clone(),
                        query,
                    }));
                }
            }
        }
        objects
    }

    fn selectors() -> Vec<Selector> {
        let mut selectors = vec![
            Selector::Everything,
            Selector::Tag("t".parse().unwrap()),
            Selector::Tag("u".parse().unwrap()),
            Selector::Key("t".parse().unwrap()),
        ];
        for host in hosts() {
            for path in paths(4) {
                let path: Path = path.parse().unwrap();
                selectors.push(Selector::Prefix { host: host.clone(), path: path.clone() });
                for scheme in [Scheme::Http, Scheme::Https] {
                    let [none, empty, some] = [None, Some(""), Some("q")]
                        .map(|query| QueryMatch::Exact(query.map(|query| query.parse().unwrap())));
                    selectors.extend([none, empty, some, QueryMatch::Any].map(|query| {
                        Selector::Url { scheme, host: host.clone(), path: path.clone(), query }
                    }));
                }
            }
        }
        selectors
    }

    #[test]
    fn wider_selectors_come_nearest_first() {
        let wider = |selector: &Selector| {
            selector.wider().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let host: Host = "a.com".parse().unwrap();
        let path: Path = "/a/b".parse().unwrap();
        let url = Selector::Url {
            scheme: Scheme::Https,
            host: host.clone(),
            path: path.clone(),
            query: QueryMatch::Exact(Some("q".parse().unwrap())),
        };
        assert_eq!(
            wider(&url),
            [
                "url https://a.com/a/b (any query)",
                "prefix a.com/a/b",
                "prefix a.com/a/",
                "prefix a.com/a",
                "prefix a.com/",
                "everything",
            ]
        );
        let prefix = Selector::Prefix { host: host.clone(), path };
        assert_eq!(
            wider(&prefix),
            ["prefix a.com/a/", "prefix a.com/a", "prefix a.com/", "everything"]
        );
        let folder = Selector::Prefix { host: host.clone(), path: "/a/".parse().unwrap() };
        assert_eq!(wider(&folder), ["prefix a.com/a", "prefix a.com/", "everything"]);
        let root = Selector::Prefix { host, path: "/".parse().unwrap() };
        assert_eq!(wider(&root), ["everything"]);
        assert_eq!(wider(&Selector::Tag("t".parse().unwrap())), ["everything"]);
        assert_eq!(wider(&Selector::Everything), [""; 0]);
    }

    /// The objects reach one byte deeper than the selectors, so that a prefix has something below every URL.
    #[test]
    fn wider_are_exactly_those_that_match_all_it_matches() {
        let (selectors, objects) = (selectors(), objects());
        for selector in &selectors {
            let wider = selector.wider();
            let matched: Vec<_> =
                objects.iter().filter(|object| matches(selector, object)).collect();
            assert!(!matched.is_empty());
            for other in &selectors {
                let includes = matched.iter().all(|object| matches(other, object));
                let expected = includes && other != selector;
                assert_eq!(wider.contains(other), expected, "{other} of {selector}");
            }
        }
    }
}
