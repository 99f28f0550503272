//! Configuration of an agent and its caches, as written in `[agent]` and `[[agent.cache]]`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use daemon::TlsConfig;
use schemas::{AgentName, CacheName, Region, SiteName};
use serde::Deserialize;

use crate::driver::DriverConfig;

/// `[agent]`, without its caches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// The region it serves; `local` if left out.
    pub region: Region,
    /// Its name on the bus; the host name if left out.
    pub name: Option<AgentName>,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
    /// TLS at `admin`.
    pub admin_tls: Option<TlsConfig>,
    /// The folder of cursors, on a volume that lives as long as the caches.
    pub state: PathBuf,
    /// How long at start the log may be silent before the agent counts as ready all the same; `None`, written
    /// `"never"`: it does not.
    #[serde(with = "duration_or_never")]
    pub ready_fail_open_after: Option<Duration>,
    /// Age of the oldest unsettled invalidation beyond which a lane shows as degraded.
    #[serde(with = "humantime_serde")]
    pub stale_budget: Duration,
    /// A lane that knows of more unsettled invalidations than this is not ready until half of them are settled; left
    /// out: never.
    pub ready_backlog_max: Option<NonZeroU64>,
    /// Public keys: what none of them has signed is not heard.
    pub trusted_keys_file: Option<PathBuf>,
    /// What is not signed is heard all the same, from whoever can write to the broker.
    pub accept_unsigned: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            region: "local".parse().expect("a valid name"),
            name: None,
            admin: ([127, 0, 0, 1], 8378).into(),
            admin_tls: None,
            state: "/var/lib/purgebus/agent".into(),
            ready_fail_open_after: Some(Duration::from_mins(2)),
            stale_budget: Duration::from_secs(30),
            ready_backlog_max: None,
            trusted_keys_file: None,
            accept_unsigned: false,
        }
    }
}

/// One `[[agent.cache]]`: what every driver's caches have in common, and the driver's own part.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheConfig {
    /// Its name on this agent.
    pub name: CacheName,
    /// How its lanes behave.
    pub lane: LaneConfig,
    /// How it is purged.
    pub driver: DriverConfig,
}

/// How the lanes of one cache behave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneConfig {
    /// The inner cache that must be purged first.
    pub after: Option<CacheName>,
    /// The sites it holds; every site if left out.
    pub sites: Option<Vec<SiteName>>,
    /// How purges are batched under load.
    pub batch: BatchConfig,
    /// Delays of the later passes after the first; the driver's own default if left out.
    #[serde(with = "optional_durations")]
    pub rebounds: Option<Vec<Duration>>,
    /// Unsettled numbers held in memory.
    pub window: usize,
    /// Selectors held in memory for a later pass, one for each number that waits, at less than 1 KiB each; beyond it the
    /// log is read again.
    pub rebound_selectors: usize,
    /// Longest wait for the cache named by `after`.
    #[serde(with = "humantime_serde")]
    pub barrier: Duration,
    /// How long a number may be missing before it is reported as a hole.
    #[serde(with = "humantime_serde")]
    pub hole_grace: Duration,
    /// How long it may be missing before the lane flushes.
    #[serde(with = "humantime_serde")]
    pub hole_deadline: Duration,
    /// What becomes of a gap: numbers that are lost, a missing cursor, a configuration that holds more than before.
    pub on_gap: OnGap,
    /// The flushes of a fleet are spread over this time.
    #[serde(with = "humantime_serde")]
    pub flush_spread: Duration,
    /// True where others purge or fill it too: it is never flushed for this lane's own missing cursor; what the
    /// log still holds is purged again instead.
    pub shared: bool,
    /// True where the cache starts empty together with its agent: no flush at the first start.
    pub starts_empty: bool,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            after: None,
            sites: None,
            batch: BatchConfig::default(),
            rebounds: None,
            window: 10_000,
            rebound_selectors: 60_000,
            barrier: Duration::from_secs(1),
            hole_grace: Duration::from_secs(10),
            hole_deadline: Duration::from_mins(1),
            on_gap: OnGap::default(),
            flush_spread: Duration::from_mins(10),
            shared: false,
            starts_empty: false,
        }
    }
}

/// What a lane does that cannot know what it missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// It removes everything.
    #[default]
    Hard,
    /// Of lost numbers it marks everything stale, and waits for a human to order more: one may have been hard. All
    /// else it removes.
    Soft,
    /// It waits for a human to order the flush.
    Hold,
}

/// How purges are batched while the lane is busy; an idle lane never waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// A batch goes out when it has this many selectors,
    pub selectors: usize,
    /// or when its oldest has waited this long.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { selectors: 100, wait: Duration::from_millis(50) }
    }
}

mod duration_or_never {
    use std::time::Duration;

    use serde::de::value::StrDeserializer;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(None);
        }
        humantime_serde::deserialize(StrDeserializer::new(&text)).map(Some)
    }
}

mod optional_durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    #[derive(Deserialize)]
    struct Human(#[serde(with = "humantime_serde")] Duration);

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<Duration>>, D::Error> {
        let delays = Option::<Vec<Human>>::deserialize(deserializer)?;
        Ok(delays.map(|delays| delays.into_iter().map(|Human(delay)| delay).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_may_be_told_never_to_count_as_ready_unheard() {
        let of = |text: &str| toml::from_str::<AgentConfig>(text).map(|c| c.ready_fail_open_after);
        assert_eq!(of("ready_fail_open_after = \"never\""), Ok(None));
        let minute = Some(Duration::from_mins(1));
        assert_eq!(of("ready_fail_open_after = \"1m\""), Ok(minute));
        assert!(of("ready_fail_open_after = \"nie\"").is_err());
    }
}
