//! Where a cache that speaks HTTP listens.

use std::fmt;

use serde::Deserialize;

/// How the name of an instance begins, among the parts of a cache.
pub(super) const INSTANCE: &str = "instance=";

/// `http://host:port`, nothing behind it; port 80 if left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    host: String,
    port: u16,
    authority: String,
}

/// Why a text is no endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the address of one server; write http://host:port")]
pub struct EndpointError(String);

impl Endpoint {
    /// The host's name or address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Both, as in a Host header.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The same for every way to write it, as a part of a cache.
    pub(super) fn part(&self) -> String {
        format!("{INSTANCE}{}:{}", self.host.to_ascii_lowercase(), self.port)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        let parse = || {
            let authority = text.strip_prefix("http://")?;
            let authority = authority.strip_suffix('/').unwrap_or(authority);
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (authority, 80),
            };
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let valid = match bare {
                Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.chars().all(allowed),
            };
            valid.then(|| Self {
                host: bare.unwrap_or(host).to_owned(),
                port,
                authority: authority.to_owned(),
            })
        };
        parse().ok_or_else(|| EndpointError(text.clone()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, u16)> {
        Endpoint::try_from(text.to_owned()).ok().map(|endpoint| (endpoint.host, endpoint.port))
    }

    #[test]
    fn one_instance_over_http_is_taken() {
        assert_eq!(parts("http://127.0.0.1:6081"), Some(("127.0.0.1".into(), 6081)));
        assert_eq!(parts("http://cache_1/"), Some(("cache_1".into(), 80)));
        assert_eq!(parts("http://[::1]:6081"), Some(("::1".into(), 6081)));
        assert_eq!(parts("http://[::1]"), Some(("::1".into(), 80)));
    }

    #[test]
    fn an_instance_has_one_name_however_it_is_written() {
        let part = |text: &str| Endpoint::try_from(text.to_owned()).expect(text).part();
        assert_eq!(part("http://Cache-1/"), "instance=cache-1:80");
        assert_eq!(part("http://cache-1"), part("http://cache-1:80/"));
        assert_ne!(part("http://cache-1:81"), part("http://cache-1"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "127.0.0.1:6081",
            "https://a:1",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a/b",
            "http://a:1?x",
            "http://u@a:1",
            "http://a b:1",
            "http://::1:80",
            "http://a\r\nb:1",
        ] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }
}
