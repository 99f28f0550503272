//! The driver's own keys of a `[[agent.cache]]` with `driver = "varnish"`.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;

use crate::driver::Endpoint;

/// Every batch goes to all of them.
const INSTANCES_MAX: usize = 32;
/// A lane gives a driver a minute.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// A fifth of the fetches of a host may come to nothing.
const FENCE_FETCHES: u32 = 5;
/// Beyond this a host is hardly ever fenced.
const FENCE_FETCHES_MAX: u32 = 1_000;

/// The checked config.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct VarnishConfig {
    /// The instances, each of which gets every purge.
    pub(super) instances: Vec<Endpoint>,
    /// Longest time for one batch, with the connection that it may need.
    pub(super) timeout: Duration,
    /// A host is fenced while its purges lie at least so many fetch times apart; never if `None`.
    pub(super) fence_fetches: Option<u32>,
}

impl VarnishConfig {
    /// One Varnish; all else is as it is where a configuration says nothing of it.
    pub fn new(url: Endpoint, timeout: Duration) -> Self {
        Self { instances: vec![url], timeout, fence_fetches: Some(FENCE_FETCHES) }
    }

    /// Where they listen.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &Endpoint> {
        self.instances.iter()
    }
}

/// As written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Where it listens: exactly one instance, such as `http://127.0.0.1:6081`.
    url: Option<Endpoint>,
    /// Where several listen that are purged together.
    urls: Option<Vec<Endpoint>>,
    /// Longest time for one batch, with the connection that it may need.
    #[serde(with = "humantime_serde", default = "default_timeout")]
    timeout: Duration,
    /// Whether what is being fetched during a purge is kept from being stored, where purges are rare.
    #[serde(default = "default_fence")]
    fence: bool,
    /// How rare: so many fetch times lie between two purges of a host.
    #[serde(default = "default_fence_fetches")]
    fence_fetches: u32,
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

fn default_fence() -> bool {
    true
}

fn default_fence_fetches() -> u32 {
    FENCE_FETCHES
}

/// All mistakes of one cache.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
struct Mistakes(Vec<String>);

impl TryFrom<Written> for VarnishConfig {
    type Error = Mistakes;

    fn try_from(written: Written) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let instances = instances(written.url, written.urls, &mut mistakes);
        if written.timeout.is_zero() {
            mistakes.push("timeout is zero; give at least 1ms".to_owned());
        } else if written.timeout > TIMEOUT_MAX {
            mistakes.push("timeout is longer than a lane waits; give at most 30s".to_owned());
        }
        if !(1..=FENCE_FETCHES_MAX).contains(&written.fence_fetches) {
            mistakes.push(format!(
                "fence_fetches is not between 1 and {FENCE_FETCHES_MAX}; to have no fence, write fence = false"
            ));
        }
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let fence_fetches = written.fence.then_some(written.fence_fetches);
        Ok(Self { instances, timeout: written.timeout, fence_fetches })
    }
}

fn instances(
    url: Option<Endpoint>,
    urls: Option<Vec<Endpoint>>,
    mistakes: &mut Vec<String>,
) -> Vec<Endpoint> {
    let instances = match (url, urls) {
        (Some(url), None) => vec![url],
        (None, Some(urls)) => urls,
        (Some(_), Some(_)) => {
            mistakes.push("urls stands beside url; keep the one that names all instances".into());
            return Vec::new();
        }
        (None, None) => {
            mistakes.push("url is missing; write url = \"http://127.0.0.1:6081\"".into());
            return Vec::new();
        }
    };
    let mut known = HashSet::new();
    if instances.is_empty() {
        mistakes.push("urls is empty; name at least one instance".into());
    } else if instances.len() > INSTANCES_MAX {
        mistakes.push(format!(
            "urls names more than {INSTANCES_MAX} instances; give each agent fewer, or each cache its own table"
        ));
    } else if let Some(twice) = instances.iter().find(|url| !known.insert(url.to_string())) {
        mistakes.push(format!("urls names {twice} twice; name every instance once"));
    }
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VarnishConfig, String> {
        toml::from_str::<VarnishConfig>(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_least_config_fences_and_has_a_timeout() {
        let config = parse("url = 'http://a:1'").unwrap();
        assert_eq!((config.timeout.as_secs(), config.fence_fetches), (2, Some(5)));
        assert_eq!(config.instances.len(), 1);
        let config = parse("urls = ['http://a:1', 'http://b']\ntimeout = '50ms'\nfence = false");
        let config = config.unwrap();
        assert_eq!((config.timeout.as_millis(), config.fence_fetches), (50, None));
        assert_eq!(config.instances.len(), 2);
    }

    #[test]
    fn every_mistake_names_its_key_and_its_remedy() {
        let many = (0..33).map(|at| format!("'http://h{at}'")).collect::<Vec<_>>().join(",");
        for (text, expected) in [
            ("", "url is missing; write url ="),
            ("url = 'http://a'\nurls = ['http://b']", "urls stands beside url; keep"),
            ("urls = []", "urls is empty; name"),
            (&format!("urls = [{many}]"), "urls names more than 32 instances; give"),
            ("urls = ['http://a:80', 'http://a:80/']", "urls names http://a:80 twice; name"),
            ("url = 'https://a'", "write http://host:port"),
            ("url = 'http://a'\ntimeout = '0s'", "timeout is zero; give"),
            ("url = 'http://a'\ntimeout = '31s'", "timeout is longer than a lane waits; give"),
            ("url = 'http://a'\nfence_fetches = 0", "fence_fetches is not between 1 and 1000; to"),
            ("url = 'http://a'\nfence_fetches = 1001", "fence_fetches is not between 1 and 1000"),
            ("url = 'http://a'\nmanner = 'xkey'", "unknown field `manner`"),
        ] {
            let told = parse(text).expect_err(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
        let told = parse("timeout = '0s'\nfence_fetches = 0").unwrap_err();
        for part in ["url is missing", "timeout is zero", "fence_fetches is"] {
            assert!(told.contains(part), "{part} is missing in: {told}");
        }
    }
}
