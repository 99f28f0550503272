//! What to purge for what has changed on disk.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use schemas::Url;
use schemas::api::{InvalidationRequest, QueryRequest, UrlRequest, UrlWithQuery};

use super::folder::INDEX;
use super::watch::Change;
use crate::demo::stage::{HOST, SITE};

/// More URLs than these are purged by what they lie below,
const URLS_MAX: usize = 300;
/// and so are more bytes of them: an invalidation travels in one piece.
const URL_BYTES_MAX: usize = 48 * 1024;
/// How many of them a line shows.
const URLS_SHOWN: usize = 3;
/// What URLs write as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The least that covers some changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purge {
    /// These paths, with any query.
    Urls(BTreeSet<String>),
    /// All at this path and below.
    Below(String),
    /// The whole site.
    Everything,
}

impl Purge {
    /// For `changes`; `by_prefix` if all caches can find pages by it.
    pub(super) fn of(changes: &[Change], by_prefix: bool) -> Self {
        // What no URL can name, no cache keeps.
        let urls = changes.iter().flat_map(urls).filter(|url| canonical(url));
        let urls = urls.collect::<BTreeSet<_>>();
        let bytes: usize = urls.iter().map(String::len).sum();
        if urls.len() <= URLS_MAX && bytes <= URL_BYTES_MAX {
            return Self::Urls(urls);
        }
        let common = changes.iter().map(|change| {
            let above = if change.is_folder { Some(&*change.path) } else { change.path.parent() };
            above.unwrap_or(Path::new(""))
        });
        let common = common.reduce(|one, other| {
            one.ancestors().find(|above| other.starts_with(above)).unwrap_or(Path::new(""))
        });
        match common {
            Some(folder) if by_prefix && folder != Path::new("") && canonical(&url(folder)) => {
                Self::Below(url(folder))
            }
            _ => Self::Everything,
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Urls(urls) if urls.is_empty())
    }

    /// As the publisher is asked for it.
    pub(super) fn request(&self) -> InvalidationRequest {
        let mut request = InvalidationRequest { site: Some(SITE.to_owned()), ..Default::default() };
        match self {
            Self::Urls(paths) => {
                let any =
                    |path: &str| UrlWithQuery { url: absolute(path), query: QueryRequest::Any };
                request.urls = paths.iter().map(|path| UrlRequest::With(any(path))).collect();
            }
            Self::Below(path) => request.prefixes = vec![absolute(path)],
            Self::Everything => {
                request.everything = true;
                request.confirm = Some(SITE.to_owned());
            }
        }
        request
    }
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Urls(urls) => {
                let shown = urls.iter().take(URLS_SHOWN).map(String::as_str).collect::<Vec<_>>();
                f.write_str(&shown.join(", "))?;
                match urls.len().saturating_sub(URLS_SHOWN) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Below(path) => write!(f, "all below {path}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// Under which a change shows: an index is its folder's page too.
fn urls(change: &Change) -> Vec<String> {
    let itself = url(&change.path);
    let folder = |path: &Path| {
        let path = url(path);
        if path == "/" { vec![path] } else { vec![format!("{path}/"), path] }
    };
    match change.path.file_name() {
        _ if change.is_folder => folder(&change.path),
        Some(name) if name == INDEX => {
            let above = change.path.parent().unwrap_or(Path::new(""));
            [vec![itself], folder(above)].concat()
        }
        _ => vec![itself],
    }
}

fn url(path: &Path) -> String {
    let names = path.iter().map(|name| percent_encode(name.as_bytes(), ESCAPED).to_string());
    format!("/{}", names.collect::<Vec<_>>().join("/"))
}

fn absolute(path: &str) -> String {
    format!("https://{HOST}{path}")
}

fn canonical(path: &str) -> bool {
    absolute(path).parse::<Url>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Change {
        Change { path: path.into(), is_folder: false }
    }

    fn urls_of(changes: &[Change]) -> Vec<String> {
        match Purge::of(changes, true) {
            Purge::Urls(urls) => urls.into_iter().collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_file_shows_at_its_path_and_an_index_at_its_folder_too() {
        assert_eq!(urls_of(&[file("a.css")]), ["/a.css"]);
        assert_eq!(urls_of(&[file("index.html")]), ["/", "/index.html"]);
        assert_eq!(urls_of(&[file("b/index.html")]), ["/b", "/b/", "/b/index.html"]);
        assert_eq!(urls_of(&[Change { path: "b".into(), is_folder: true }]), ["/b", "/b/"]);
        assert_eq!(urls_of(&[file("a b/ü?#%.txt")]), ["/a%20b/%C3%BC%3F%23%25.txt"]);
    }

    #[test]
    fn what_no_url_can_name_is_left_out() {
        assert!(Purge::of(&[file(&"a/".repeat(1_100))], true).is_empty());
    }

    #[test]
    fn a_burst_is_purged_by_what_it_lies_below() {
        let burst = |folder: &str, count: usize| {
            (0..count).map(|number| file(&format!("{folder}/{number}"))).collect::<Vec<_>>()
        };
        assert!(matches!(Purge::of(&burst("a/b", URLS_MAX), true), Purge::Urls(_)));
        let below = Purge::Below("/a/b".to_owned());
        assert_eq!(Purge::of(&burst("a/b", URLS_MAX + 1), true), below);
        assert_eq!(Purge::of(&burst("a/b", URLS_MAX + 1), false), Purge::Everything);
        let gone = Change { path: "a/b".into(), is_folder: true };
        let gone = [vec![gone], burst("a/b", URLS_MAX)].concat();
        assert_eq!(Purge::of(&gone, true), Purge::Below("/a/b".to_owned()));
        let two = [burst("a/b", URLS_MAX), burst("a/c", 1)].concat();
        assert_eq!(Purge::of(&two, true), Purge::Below("/a".to_owned()));
        let two = [burst("a", URLS_MAX), burst("ab", 1)].concat();
        assert_eq!(Purge::of(&two, true), Purge::Everything);
        let long = burst(&"long/".repeat(100), 100);
        assert!(matches!(Purge::of(&long, true), Purge::Below(_)));
    }
}
