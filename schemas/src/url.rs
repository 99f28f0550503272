//! Canonical addresses: one spelling for each host, path and query, and a reason for everything refused.
//!
//! Publishers *parse* (percent-encoding is normalised once); agents take only what is canonical already.

mod host;
mod path;
mod percent;
mod query;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::host::Host;
pub use self::path::Path;
pub use self::query::Query;
use crate::Refusal;

/// Longest path with its query, in bytes of the canonical form.
const PATH_BYTES_MAX: usize = 2_048;

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

    /// The port that is left out of its URLs, as it would follow the host.
    fn default_port_suffix(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// An absolute `http` or `https` URL, canonical in every part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    /// Its scheme.
    pub scheme: Scheme,
    /// Its host, without the scheme's default port.
    pub host: Host,
    /// Its path; `/` where none was written.
    pub path: Path,
    /// Its query, if it has a question mark.
    pub query: Option<Query>,
}

impl Url {
    /// Puts canonical parts together; refuses what each part alone cannot see.
    pub(crate) fn from_canonical_parts(
        scheme: Scheme,
        host: Host,
        path: Path,
        query: Option<Query>,
    ) -> Result<Self, Refusal> {
        if host.has_default_port(scheme) {
            return Err(Refusal::new("url", "names the default port of its scheme; leave it out"));
        }
        let bytes =
            path.as_str().len() + query.as_ref().map_or(0, |query| 1 + query.as_str().len());
        percent::check_length("path with query", bytes)?;
        Ok(Self { scheme, host, path, query })
    }
}

impl FromStr for Url {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| Refusal::new("url", "is not absolute; write https://host/path"))?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str()))
            .ok_or_else(|| Refusal::new("url", "is neither http nor https"))?;
        if rest.contains('#') {
            return Err(Refusal::new(
                "url",
                "has a fragment, which no server ever sees; leave out '#' and what follows",
            ));
        }
        let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.parse()?)),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let host = host.parse::<Host>()?.without_default_port(scheme);
        Self::from_canonical_parts(scheme, host, path.parse()?, query)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Url>()
            .map_or_else(|refusal| format!("refused: {refusal}"), |url| url.to_string())
    }

    fn refusal(text: &str) -> String {
        text.parse::<Url>().expect_err(text).to_string()
    }

    #[test]
    fn every_spelling_of_an_address_becomes_one() {
        for (written, expected) in [
            ("https://www.example.com", "https://www.example.com/"),
            ("HTTPS://WWW.Example.COM:443/A", "https://www.example.com/A"),
            ("http://a.com:80?x", "http://a.com/?x"),
            ("http://a.com:443/", "http://a.com:443/"),
            ("https://a.com:8443/%7euser/%c3%a9%2f", "https://a.com:8443/~user/%C3%A9%2F"),
            ("https://a.com/s?q=%41%20b&u=/x?y", "https://a.com/s?q=A%20b&u=/x?y"),
            ("https://a.com/s?", "https://a.com/s?"),
        ] {
            assert_eq!(canonical(written), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_cache_is_refused_with_the_way_out() {
        for (written, expected) in [
            ("/blog", "url is not absolute; write https://host/path"),
            ("ftp://a.com/", "url is neither http nor https"),
            ("https:///a", "host is empty; write https://host/path"),
            (
                "https://a.com/a#b",
                "url has a fragment, which no server ever sees; leave out '#' and what follows",
            ),
            (
                "https://bob:secret@a.com/",
                "host holds user information; leave out what stands before '@'",
            ),
            ("https://[::1]/", "host is an IPv6 literal; write the host's name"),
        ] {
            assert_eq!(refusal(written), expected);
        }
    }

    #[test]
    fn path_and_query_share_one_limit() {
        let query = "q".repeat(1_000);
        let longest = format!("https://a.com/{}?{query}", "p".repeat(PATH_BYTES_MAX - 1_002));
        assert_eq!(canonical(&longest), longest);
        assert_eq!(
            refusal(&longest.replace("?q", "p?q")),
            "path with query is 2049 bytes long; give at most 2048, or purge a prefix or a tag"
        );
    }

    #[test]
    fn a_default_port_is_not_canonical() {
        let parts = |scheme, host: &str| {
            let (host, path) = (host.parse().unwrap(), "/".parse().unwrap());
            Url::from_canonical_parts(scheme, host, path, None)
        };
        assert!(parts(Scheme::Https, "a.com:443").is_err());
        assert!(parts(Scheme::Http, "a.com:80").is_err());
        assert!(parts(Scheme::Http, "a.com:443").is_ok());
    }

    proptest! {
        #[test]
        fn whatever_parses_parses_to_itself(
            text in "https?://[A-Za-z0-9.-]{1,12}(:[0-9]{1,5})?(/[ -~]{0,9}){0,4}(\\?[ -~]{0,20})?",
        ) {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(url.to_string().parse::<Url>(), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", tail in any::<String>()) {
            let _parsed = text.parse::<Url>();
            let _parsed = format!("https://{tail}").parse::<Url>();
            let _parsed = format!("https://a.com/{tail}").parse::<Url>();
        }
    }
}
