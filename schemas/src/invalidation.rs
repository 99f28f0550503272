//! The invalidation: "these selectors of this site are stale".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Region, Selector, SiteName};

/// What a purge does to the objects it finds.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Mark them stale; serve stale while one request refreshes.
    Soft,
    /// Remove them.
    #[default]
    Hard,
}

impl Mode {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// Which path through the bus an invalidation takes; each has its own topic, cursor and connections.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Never waits for batching, nor behind normal ones.
    Critical,
    /// Everything else.
    #[default]
    Normal,
}

impl Priority {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Critical, Self::Normal];

    /// The word for it; also the name of its log topic.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
        }
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who shall hear it; travels as written, so that a new region is in `All`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every region of the site, now and later.
    #[default]
    All,
    /// These only.
    Regions(BTreeSet<Region>),
}

impl Audience {
    /// Whether `region` is meant.
    pub fn includes(&self, region: &Region) -> bool {
        match self {
            Self::All => true,
            Self::Regions(regions) => regions.contains(region),
        }
    }
}

/// Which agents and caches of its regions an invalidation is for; of a kind of which none is named, for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Recipients {
    /// These agents only.
    pub agents: BTreeSet<AgentName>,
    /// Caches of these names only.
    pub caches: BTreeSet<CacheName>,
}

impl Recipients {
    /// Whether this cache of this agent is meant.
    pub fn includes(&self, agent: &AgentName, cache: &CacheName) -> bool {
        (self.agents.is_empty() || self.agents.contains(agent))
            && (self.caches.is_empty() || self.caches.contains(cache))
    }

    /// Whether every agent and cache is.
    pub fn is_everyone(&self) -> bool {
        self.agents.is_empty() && self.caches.is_empty()
    }
}

/// A database position that the region's replica must have replayed before the last pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A Postgres log sequence number such as `0/3015FF0`.
    PostgresLsn(String),
    /// A `MySQL` set of global transaction ids.
    MysqlGtid(String),
}

/// One accepted wish to see content gone, canonical in every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// A version 7 UUID, the name users know it by.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// What is stale: 1 to 1,000.
    pub selectors: Vec<Selector>,
    /// What to do with it.
    pub mode: Mode,
    /// On which path.
    pub priority: Priority,
    /// For which regions.
    pub audience: Audience,
    /// For which agents and caches there.
    pub recipients: Recipients,
    /// When the publisher accepted it, on its clock.
    pub accepted_at: Timestamp,
    /// Not worth doing any more when this old, against the newest time heard from its publisher.
    pub expires_in: Option<Duration>,
    /// What a replica must have replayed before the last pass.
    pub after: Option<Gate>,
    /// For humans.
    pub reason: Option<String>,
    /// For humans' tools.
    pub labels: BTreeMap<String, String>,
    /// The one that it publishes again, where it is a replay.
    pub origin: Option<Uuid>,
}

impl Invalidation {
    /// A hard one of normal priority for all regions, of which nothing else is said.
    pub fn new(id: Uuid, site: SiteName, selectors: Vec<Selector>, accepted_at: Timestamp) -> Self {
        Self {
            id,
            site,
            selectors,
            mode: Mode::Hard,
            priority: Priority::Normal,
            audience: Audience::All,
            recipients: Recipients::default(),
            accepted_at,
            expires_in: None,
            after: None,
            reason: None,
            labels: BTreeMap::new(),
            origin: None,
        }
    }
}
