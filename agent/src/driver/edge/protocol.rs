//! What driver and proxy say to each other: `PURGE /` with one selector a line, answered under a header that only
//! an edge sends.
//!
//! ```text
//! url main www.example.com /a?x=1
//! any-query main www.example.com /a
//! prefix main www.example.com /blog
//! tag main article-7
//! everything main
//! ```
//!
//! No atom can hold a space or a line break, so nothing needs quoting. An empty list purges nothing and asks who is
//! there.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use schemas::{Host, Mode, Path, Query, QueryMatch, Refusal, Scheme, Selector, SiteName, Tag};
use uuid::Uuid;

use crate::driver::Purge;

/// The method.
pub(super) const METHOD: &str = "PURGE";
/// The header of every answer to it; its value is an [`Identity`].
pub(super) const IDENTITY: &str = "purgebus-edge";
/// The header that tells how many stored answers a purge removed.
pub(super) const REMOVED: &str = "purgebus-removed";
/// Most selectors in a request.
pub(super) const SELECTORS_MAX: u32 = 1_000;
/// Most bytes in a request: `SELECTORS_MAX` of the longest lines.
pub(super) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Which edge answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its version.
    pub(super) version: String,
    /// Another one after each start, when the cache is empty again.
    pub(super) instance: Uuid,
}

impl Identity {
    /// A new instance of this version.
    pub(super) fn fresh() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), instance: Uuid::new_v4() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.instance)
    }
}

impl FromStr for Identity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, NoIdentity> {
        let (version, instance) = text.split_once(' ').ok_or(NoIdentity)?;
        let instance = instance.parse().map_err(|_| NoIdentity)?;
        Ok(Self { version: version.to_owned(), instance })
    }
}

/// A text that no edge writes into its header.
#[derive(Debug, thiserror::Error)]
#[error("not the identity of an edge")]
pub(super) struct NoIdentity;

/// Why a list of selectors was not taken; nothing of it is purged.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("line {line} is not a selector")]
    Unknown { line: usize },
    #[error("line {line} is not canonical")]
    NotCanonical {
        line: usize,
        #[source]
        source: Refusal,
    },
    #[error("more than {SELECTORS_MAX} selectors")]
    TooMany,
}

/// A selector of a kind that an edge never holds.
#[derive(Debug, thiserror::Error)]
#[error("an edge holds no objects by {0}")]
pub(super) struct NotHeld(Selector);

/// Writes the body of a request. The mode is not said: an edge only removes.
pub(super) fn write_list(purges: &[Purge]) -> Result<String, NotHeld> {
    let mut list = String::new();
    for Purge { site, selector, .. } in purges {
        match selector {
            Selector::Url { host, path, query, .. } => match query {
                QueryMatch::Exact(None) => writeln!(list, "url {site} {host} {path}"),
                QueryMatch::Exact(Some(query)) => {
                    writeln!(list, "url {site} {host} {path}?{query}")
                }
                QueryMatch::Any => writeln!(list, "any-query {site} {host} {path}"),
            },
            Selector::Prefix { host, path } => writeln!(list, "prefix {site} {host} {path}"),
            Selector::Tag(tag) => writeln!(list, "tag {site} {tag}"),
            Selector::Everything => writeln!(list, "everything {site}"),
            Selector::Key(_) => return Err(NotHeld(selector.clone())),
        }
        .expect("a String takes all text");
    }
    Ok(list)
}

/// Reads the body of a request.
pub(super) fn read_list(list: &str) -> Result<Vec<Purge>, ListError> {
    let mut purges = Vec::new();
    for (at, text) in list.lines().enumerate() {
        if purges.len() == SELECTORS_MAX as usize {
            return Err(ListError::TooMany);
        }
        let line = at + 1;
        let purge = read_line(text)
            .map_err(|source| ListError::NotCanonical { line, source })?
            .ok_or(ListError::Unknown { line })?;
        purges.push(purge);
    }
    Ok(purges)
}

fn read_line(line: &str) -> Result<Option<Purge>, Refusal> {
    let words = line.split(' ').collect::<Vec<_>>();
    let (site, selector) = match words[..] {
        ["url", site, host, target] => {
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(Query::from_canonical(query)?)),
                None => (target, None),
            };
            (site, url(host, path, QueryMatch::Exact(query))?)
        }
        ["any-query", site, host, path] => (site, url(host, path, QueryMatch::Any)?),
        ["prefix", site, host, path] => {
            let (host, path) = (Host::from_canonical(host)?, Path::from_canonical(path)?);
            (site, Selector::Prefix { host, path })
        }
        ["tag", site, tag] => (site, Selector::Tag(Tag::from_canonical(tag)?)),
        ["everything", site] => (site, Selector::Everything),
        _ => return Ok(None),
    };
    Ok(Some(Purge::new(SiteName::from_canonical(site)?, selector, Mode::Hard)))
}

fn url(host: &str, path: &str, query: QueryMatch) -> Result<Selector, Refusal> {
    let (host, path) = (Host::from_canonical(host)?, Path::from_canonical(path)?);
    // An edge does not key on the scheme.
    Ok(Selector::Url { scheme: Scheme::default(), host, path, query })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &str = "url main www.example.com /a\n\
                        url main www.example.com /a?x=1?y /b\n";

    fn purge(selector: Selector) -> Purge {
        Purge::new("main".parse().unwrap(), selector, Mode::Hard)
    }

    fn selectors() -> impl Strategy<Value = Selector> {
        let host =
            || "[a-z]{1,5}(\\.[a-z]{2,3})?".prop_filter_map("host", |text| text.parse().ok());
        let path = || "/[!-~]{0,12}".prop_filter_map("path", |text| text.parse::<Path>().ok());
        let query = proptest::option::of(
            "[!-~]{0,12}".prop_filter_map("query", |text| text.parse::<Query>().ok()),
        );
        let query = prop_oneof![query.prop_map(QueryMatch::Exact), Just(QueryMatch::Any)];
        prop_oneof![
            (host(), path(), query).prop_map(|(host, path, query)| Selector::Url {
                scheme: Scheme::Https,
                host,
                path,
                query
            }),
            (host(), path()).prop_map(|(host, path)| Selector::Prefix { host, path }),
            "[!-~]{1,12}".prop_filter_map("tag", |text| text.parse().ok().map(Selector::Tag)),
            Just(Selector::Everything),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(selectors in proptest::collection::vec(selectors(), 0..9)) {
            let purges = selectors.into_iter().map(purge).collect::<Vec<_>>();
            prop_assert_eq!(read_list(&write_list(&purges).unwrap()).unwrap(), purges);
        }

        #[test]
        fn no_text_makes_it_panic(list in "\\PC*", tail in "[ -~\n]{0,40}") {
            let _read = read_list(&list);
            let _read = read_list(&format!("url main {tail}"));
        }
    }

    #[test]
    fn a_strange_line_is_named() {
        for (list, message) in [
            (LIST, "line 2 is not a selector"),
            ("ban main .*", "line 1 is not a selector"),
            ("everything main\n\n", "line 2 is not a selector"),
            ("everything main ", "line 1 is not a selector"),
            ("tag main a,b", "line 1 is not canonical"),
            ("tag Main a", "line 1 is not canonical"),
            ("prefix main www.example.com /a/../b", "line 1 is not canonical"),
            ("url main WWW.example.com /a", "line 1 is not canonical"),
        ] {
            assert_eq!(read_list(list).expect_err(list).to_string(), message, "{list:?}");
        }
        let list = "everything main\n".repeat(SELECTORS_MAX as usize);
        assert_eq!(read_list(&list).unwrap().len(), 1_000);
        assert!(matches!(read_list(&(list + "everything main\n")), Err(ListError::TooMany)));
    }

    #[test]
    fn the_longest_list_fits_into_a_request() {
        let longest = purge(Selector::Url {
            scheme: Scheme::Https,
            host: [&"a".repeat(61)[..]; 4].join(".").parse().unwrap(),
            path: format!("/{}", "p".repeat(2_047)).parse().unwrap(),
            query: QueryMatch::Any,
        });
        let purges = vec![Purge { site: "s".repeat(63).parse().unwrap(), ..longest }; 1_000];
        assert!(write_list(&purges).unwrap().len() <= BODY_BYTES_MAX);
    }

    #[test]
    fn an_identity_is_read_as_written_and_nothing_else_is_one() {
        let identity = Identity::fresh();
        assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        for text in ["", "0.1.0", "0.1.0 7", "nginx"] {
            assert!(text.parse::<Identity>().is_err(), "{text:?}");
        }
    }
}
