//! Flushes that a human orders.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Mode, Region};

use super::AgentState;

/// Body of `POST /v1/flushes`, as written by the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlushRequest {
    /// Where.
    pub region: String,
    /// Which cache of each agent there; left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// `hard` (default) removes; `soft` marks stale, and makes up for nothing that was lost.
    #[serde(default)]
    pub mode: Mode,
}

/// Answer to `POST /v1/flushes`: the order, and who will carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlushOrdered {
    /// The order's name.
    pub id: Uuid,
    /// Where.
    pub region: Region,
    /// Which cache of each agent there; null: all of them.
    pub cache: Option<CacheName>,
    /// `hard` or `soft`.
    pub mode: Mode,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// An agent that is away until then does not flush.
    pub expires_at: Timestamp,
    /// The caches that flush now, or as soon as their agent is back. Those that come after one of them flush too.
    pub caches: Vec<OrderedCache>,
}

/// A cache that was ordered to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderedCache {
    /// Whose.
    pub agent: AgentName,
    /// Which.
    pub cache: CacheName,
    /// How its agent stands.
    pub state: AgentState,
}
