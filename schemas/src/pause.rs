//! What humans hold up for a while: the purges of caches, of a site, or what the bearer of a token publishes.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{AgentName, CacheName, Region, SiteName};

/// No pause lasts longer: it ends by itself, whoever is gone by then.
pub const PAUSE_MAX: Duration = Duration::from_hours(1);

/// Most pauses that a lane tells of.
pub const LANE_PAUSES_MAX: usize = 100;

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paused {
    /// No cache is purged of this site; what is published of it waits.
    Site(SiteName),
    /// No cache of this agent is purged.
    Agent(AgentName),
    /// No cache of this name is purged.
    Cache {
        /// Its name.
        cache: CacheName,
        /// Of agents there; `None`: of all agents.
        region: Option<Region>,
    },
    /// Nothing is taken from the bearer of the token of this name.
    Token(String),
}

/// A pause that a lane obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePause {
    /// The order's name.
    pub id: Uuid,
    /// What waits; `None`: all purges of the lane.
    pub site: Option<SiteName>,
    /// Until when, on the clock of the publisher through which it was ordered.
    pub until: Timestamp,
}
