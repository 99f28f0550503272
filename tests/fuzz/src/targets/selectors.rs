//! Every kind of text with a canonical form: names, parts of a URL, tags, keys.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use schemas::{
    AgentName, CacheName, Host, Key, Path, PublisherName, Query, QueryMatch, Region, Selector,
    SiteName, Tag, Url,
};

/// Longest path with its query.
const TARGET_BYTES_MAX: usize = 2_048;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let canonical = [
        canonical::<Host>(text, Host::from_canonical),
        canonical::<Path>(text, Path::from_canonical),
        canonical::<Query>(text, Query::from_canonical),
        canonical::<Tag>(text, Tag::from_canonical),
        canonical::<Key>(text, Key::from_canonical),
        canonical::<SiteName>(text, SiteName::from_canonical),
        canonical::<Region>(text, Region::from_canonical),
        canonical::<AgentName>(text, AgentName::from_canonical),
        canonical::<CacheName>(text, CacheName::from_canonical),
        canonical::<PublisherName>(text, PublisherName::from_canonical),
    ];
    for text in canonical.into_iter().flatten() {
        assert!(text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{text:?}");
    }
    if let Some(url) = again::<Url>(text) {
        let Url { scheme, host, path, query } = url;
        let bytes =
            path.as_str().len() + query.as_ref().map_or(0, |query| 1 + query.as_str().len());
        assert!(bytes <= TARGET_BYTES_MAX, "{path}");
        let dots = |segment: &str| [".", ".."].contains(&segment);
        assert!(!path.as_str().split('/').any(dots), "{path}");
        wider(&Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) });
    }
}

/// What was parsed, written and parsed again, is what it was.
fn again<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let parsed: T = text.parse().ok()?;
    let written = parsed.to_string();
    let again: T = written.parse().expect("what was written is read");
    assert_eq!(again, parsed, "{written:?}");
    assert_eq!(again.to_string(), written);
    Some(parsed)
}

/// The canonical form of a text, which readers that repair nothing take too.
fn canonical<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(
    text: &str,
    from_canonical: fn(&str) -> Result<T, schemas::Refusal>,
) -> Option<String> {
    let parsed = again::<T>(text);
    let taken = from_canonical(text);
    let Some(parsed) = parsed else {
        assert!(taken.is_err(), "{text:?} is refused and taken");
        return None;
    };
    let written = parsed.to_string();
    assert_eq!(taken.is_ok(), written == text, "{text:?}");
    assert_eq!(from_canonical(&written).as_ref(), Ok(&parsed), "{text:?}");
    Some(written)
}

/// More are not compared each with each: that takes the cube of their number.
const COMPARED_MAX: usize = 50;

/// Wider ones grow wider, up to everything.
fn wider(selector: &Selector) {
    let wider = selector.wider();
    assert_eq!(wider.last(), Some(&Selector::Everything));
    let compared = wider.iter().enumerate().filter(|_| wider.len() <= COMPARED_MAX);
    for (at, each) in compared {
        assert!(!wider[at + 1..].contains(each), "{each} twice");
        assert!(each.wider().iter().all(|beyond| wider[at + 1..].contains(beyond)), "{each}");
    }
}
