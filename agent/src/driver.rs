//! The seam between lanes and caches. Adding a cache is one file below and one line in [`open`].

pub mod conformance;
pub mod edge;
mod endpoint;
pub mod redis;
mod refused;
mod shelf;
pub mod varnish;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::{Abilities, AgentName, CacheName, Mode, Priority, Region, Selector, SiteName, Sites};
use uuid::Uuid;

pub use self::endpoint::Endpoint;
pub use self::refused::Refused;
pub use self::shelf::{Content, CursorShelf, Session, Shelved};

/// Any error of a driver's own library.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One selector to purge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Purge {
    /// Whose content.
    pub site: SiteName,
    /// What.
    pub selector: Selector,
    /// How; never a mode that the abilities exclude.
    pub mode: Mode,
    /// Of `Selector::Everything` no more than what this one of [`DriverConfig::parts`] holds; all of it if `None`.
    pub part: Option<Arc<str>>,
}

impl Purge {
    /// A purge of all that the selector means.
    pub fn new(site: SiteName, selector: Selector, mode: Mode) -> Self {
        Self { site, selector, mode, part: None }
    }
}

/// Selectors to purge together; at most as many as the abilities allow, only of supported kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Distinct, in the order heard.
    pub purges: Vec<Purge>,
}

/// What may still come of the fetches that were under way when a batch was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetches {
    /// Any of them may store again what was purged: the later passes remove it.
    Unfenced,
    /// None that began before is kept, of all that the batch purged.
    Fenced,
}

/// Why a batch was not purged: what the lane does next.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// Wait and repeat.
    #[error("cache unavailable")]
    Unavailable {
        /// How long the cache asked to be left alone.
        after: Option<Duration>,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The cache answered that it will not: the batch is split until the culprit is alone.
    #[error("cache refused")]
    Refused(#[source] Refused),
}

/// Purges one cache.
#[async_trait]
pub trait Driver: Debug + Send + Sync + 'static {
    /// Selectors, modes and batch limits this cache understands, found by probing where it can be asked.
    /// `Unavailable` with a clear message where the cache is not one that purges; asked again before the
    /// first purge and after each reconnect that may have changed it.
    async fn abilities(&self) -> Result<Abilities, PurgeError>;

    /// Purges all of `batch` or fails; may be called again with the same batch, and while another call runs.
    /// Says `Fenced` only of a batch that was fenced as a whole, everywhere: it spares later passes.
    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError>;

    /// Purges an object of the driver's own. Asked when a batch was refused: a cache that refuses this too
    /// is misconfigured, and nobody's selector is to blame.
    async fn probe(&self) -> Result<(), PurgeError>;

    /// The cursor kept inside the cache, for caches that can keep one; else it lies in the agent's `state` folder.
    fn shelf(&self) -> Option<&dyn CursorShelf> {
        None
    }
}

/// What a driver knows of the place it works in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The sites that the cache holds; whoever purges `everything` needs their hosts.
    pub sites: Arc<Sites>,
    /// The agent's region.
    pub region: Region,
    /// The agent's name.
    pub agent: AgentName,
    /// The cache's name.
    pub cache: CacheName,
    /// Which of the cache's lanes it works for.
    pub priority: Priority,
    /// Where probe objects may be asked for: an id unlike any other agent's.
    pub instance: Uuid,
}

/// The `driver = "..."` part of a `[[agent.cache]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum DriverConfig {
    /// `driver = "varnish"`
    Varnish(varnish::VarnishConfig),
    /// `driver = "redis"`
    Redis(redis::RedisConfig),
    /// `driver = "edge"`
    Edge(edge::EdgeConfig),
}

impl DriverConfig {
    /// The word for it in the configuration and in reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Varnish(_) => "varnish",
            Self::Redis(_) => "redis",
            Self::Edge(_) => "edge",
        }
    }

    /// Delays of the later passes: for an HTTP cache the last is later than the longest fetch.
    pub fn rebounds(&self) -> Vec<Duration> {
        match self {
            Self::Varnish(_) | Self::Edge(_) => [1, 11, 65].map(Duration::from_secs).to_vec(),
            Self::Redis(_) => vec![Duration::from_secs(1)],
        }
    }

    /// What the cache consists of, and what may be flushed of it alone because it is new: the instances, or the key
    /// templates in force of a cache that tells by itself whether it is another one.
    pub fn parts(&self) -> BTreeSet<String> {
        match self {
            Self::Redis(config) => config.templates_in_force().clone(),
            Self::Varnish(config) => config.instances().map(Endpoint::part).collect(),
            Self::Edge(config) => [config.url.part()].into(),
        }
    }
}

/// Whether this is one of [`DriverConfig::parts`] that is a cache by itself.
pub(crate) fn is_instance(part: &str) -> bool {
    part.starts_with(endpoint::INSTANCE)
}

/// A driver with connections of its own. Does not talk to the cache yet.
pub fn open(config: &DriverConfig, surroundings: &Surroundings) -> Arc<dyn Driver> {
    match config {
        DriverConfig::Varnish(config) => Arc::new(varnish::Varnish::new(config, surroundings)),
        DriverConfig::Redis(config) => Arc::new(redis::Redis::new(config, surroundings)),
        DriverConfig::Edge(config) => Arc::new(edge::Edge::new(config, surroundings)),
    }
}
