//! Dead letters: told, retried, dropped.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentName, CacheName, Exchange, LetterState, Mode, Priority, Region, SiteName, legible,
    legible_lines,
};

use super::OrderedCache;

/// One row of `GET /v1/dead-letters`: a selector that a healthy cache refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterSummary {
    /// Its name.
    pub id: Uuid,
    /// Where.
    pub region: Region,
    /// Whose.
    pub agent: AgentName,
    /// Which cache refused it.
    pub cache: CacheName,
    /// In which of its lanes.
    pub priority: Priority,
    /// Whose content.
    pub site: SiteName,
    /// What was not purged: `tag article-7`.
    pub selector: String,
    /// `hard` or `soft`.
    pub mode: Mode,
    /// What the cache said to the latest try.
    pub reason: String,
    /// When it was refused first, on the agent's clock.
    pub first_seen: Timestamp,
    /// When it was refused last.
    pub last_tried: Timestamp,
    /// How often it was.
    pub tries: u32,
    /// What becomes of it now.
    pub state: LetterState,
    /// How many invalidations asked for it.
    pub invalidations: u64,
    /// The line of the latest of them.
    pub line: String,
    /// Its number there.
    pub number: u64,
    /// What the cache answered to the latest try: told of one letter that is asked for, not of those on a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<DeadLetterExchange>,
}

/// What a cache answered when it refused. Whatever a terminal would obey is written as an escape, such as `\u{1b}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterExchange {
    /// Its status line, such as `HTTP/1.1 405 Not Allowed`; of Redis the error reply.
    pub status: String,
    /// The first 1 KiB of what followed, headers and body; left out where the agent's report has no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl From<&Exchange> for DeadLetterExchange {
    fn from(exchange: &Exchange) -> Self {
        let (status, answer) = (legible(exchange.status()), exchange.answer().map(legible_lines));
        Self { status, answer }
    }
}

/// A page of dead letters, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterPage {
    /// This page.
    pub items: Vec<DeadLetterSummary>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// How many more the caches that are asked for have than their agents tell: of each lane the newest are told.
    pub untold: u64,
}

/// Body of `POST /v1/dead-letters/retry` and `.../drop`: all that fulfil what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersRequest {
    /// Of these names; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Uuid>,
    /// Of agents in this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Of caches of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whose selector or reason holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// True means all there are; nothing else may be given then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Why they are dropped, for the record; needed there, and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of `POST /v1/dead-letters/{id}/drop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropRequest {
    /// Why it is dropped, for the record.
    pub reason: String,
}

/// Answer to a retry or a drop, of one or of several: the order, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettersOrdered {
    /// The order's name.
    pub id: Uuid,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// An agent that is away until then does not carry it out.
    pub expires_at: Timestamp,
    /// How many dead letters it is for, as far as agents tell of them.
    pub letters: u64,
    /// The caches that have them.
    pub caches: Vec<OrderedCache>,
}
