//! What happens on the bus, as it is told to those who listen.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentName, CacheName, Priority, Region, SiteName};

use super::{Clock, Missing};

/// The data of one event of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An invalidation was accepted.
    Published(InvalidationEvent),
    /// Every cache that owes it has purged it.
    Applied(ReachedEvent),
    /// The last pass is done too: no stale refill survives.
    Final(ReachedEvent),
    /// Something that owes it cannot do it. It can still become applied.
    Blocked(BlockedEvent),
    /// A cache was emptied for what it may have missed.
    Flush(FlushEvent),
    /// A cache purges what comes.
    CacheUp(CacheEvent),
    /// A cache does not: its agent is gone, it does not answer, or it has not caught up.
    CacheDown(CacheEvent),
    /// Whoever listens was too slow, or was away for too long: so much is not told any more.
    Lagged(LaggedEvent),
}

/// An invalidation that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidationEvent {
    /// When it was accepted, on the accepting publisher's clock.
    pub at: Timestamp,
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// Which path it takes.
    pub priority: Priority,
    /// The regions it names; null: every region of its site.
    pub regions: Option<Vec<Region>>,
}

/// An invalidation that has come further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReachedEvent {
    /// When that was known.
    pub at: Timestamp,
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// Which path it takes.
    pub priority: Priority,
    /// The regions it names; null: every region of its site.
    pub regions: Option<Vec<Region>>,
    /// Milliseconds from accepted to that.
    pub after_ms: f64,
    /// Whose clock.
    pub clock: Clock,
}

/// An invalidation that something cannot do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockedEvent {
    /// When that was known.
    pub at: Timestamp,
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// Which path it takes.
    pub priority: Priority,
    /// The regions it names; null: every region of its site.
    pub regions: Option<Vec<Region>>,
    /// Who owes it and why it is not there; at most 16 of them.
    pub missing: Vec<Missing>,
}

/// A cache that was flushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlushEvent {
    /// When that was known.
    pub at: Timestamp,
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which cache.
    pub cache: CacheName,
    /// Which of its lanes missed something.
    pub priority: Priority,
    /// How many numbers it settled so.
    pub numbers: u64,
}

/// A cache that came up or went down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CacheEvent {
    /// When that was known.
    pub at: Timestamp,
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which cache.
    pub cache: CacheName,
    /// Why it is down.
    pub reason: Option<String>,
}

/// That something was not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaggedEvent {
    /// How many events; null where nobody knows, because the publisher was started anew.
    pub missed: Option<u64>,
}

impl Event {
    /// Its word, also the name of the server-sent event.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Published(_) => "published",
            Self::Applied(_) => "applied",
            Self::Final(_) => "final",
            Self::Blocked(_) => "blocked",
            Self::Flush(_) => "flush",
            Self::CacheUp(_) => "cache_up",
            Self::CacheDown(_) => "cache_down",
            Self::Lagged(_) => "lagged",
        }
    }

    /// The site of the invalidation that it is about.
    pub fn site(&self) -> Option<&SiteName> {
        match self {
            Self::Published(event) => Some(&event.site),
            Self::Applied(event) | Self::Final(event) => Some(&event.site),
            Self::Blocked(event) => Some(&event.site),
            Self::Flush(_) | Self::CacheUp(_) | Self::CacheDown(_) | Self::Lagged(_) => None,
        }
    }

    /// Whether it is, among others, about `region`.
    pub fn concerns(&self, region: &Region) -> bool {
        let named = |regions: &Option<Vec<Region>>| {
            regions.as_ref().is_none_or(|regions| regions.contains(region))
        };
        match self {
            Self::Published(event) => named(&event.regions),
            Self::Applied(event) | Self::Final(event) => named(&event.regions),
            Self::Blocked(event) => named(&event.regions),
            Self::Flush(event) => event.region == *region,
            Self::CacheUp(event) | Self::CacheDown(event) => event.region == *region,
            Self::Lagged(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bodies() -> Vec<Value> {
        let of = |event: &str, more: Value| {
            let mut body = json!({
                "event": event, "at": "2026-11-21T10:00:00Z", "site": "main", "priority": "normal",
                "id": "01934d2e-5b00-7abc-8def-0123456789ab", "regions": ["eu-west"],
            });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let cache = |event: &str, more: Value| {
            let mut body = json!({
                "event": event, "at": "2026-11-21T10:00:00Z", "region": "eu-west",
                "agent": "edge-1", "cache": "varnish",
            });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        vec![
            of("published", json!({"regions": null})),
            of("applied", json!({"after_ms": 12.5, "clock": "one"})),
            of("final", json!({"after_ms": 65_011.0, "clock": "two"})),
            of(
                "blocked",
                json!({"missing": [{"region": "ap-south", "agent": "edge-9", "cache": "varnish",
                                    "reason": "agent gone", "since": null}]}),
            ),
            cache("flush", json!({"priority": "critical", "numbers": 9})),
            cache("cache_up", json!({"reason": null})),
            cache("cache_down", json!({"reason": "agent gone"})),
            json!({"event": "lagged", "missed": 7}),
        ]
    }

    #[test]
    fn every_event_comes_back_as_it_went_and_has_the_word_of_its_json() {
        for body in bodies() {
            let event: Event = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(json!(event.word()), body["event"]);
            assert_eq!(serde_json::to_value(event).unwrap(), body);
        }
    }
}
