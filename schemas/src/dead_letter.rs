//! What a healthy cache refused: kept by its agent until it was purged after all, or a human drops it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentName, CacheName, Exchange, LineId, Mode, NumberRange, Place, Region, Selector, SiteName,
};

/// Most dead letters named in one order.
pub const CHOSEN_LETTERS_MAX: usize = 1_000;

/// One selector that a cache refused by itself, for every invalidation that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: Uuid,
    /// Whose content.
    pub site: SiteName,
    /// What was not purged.
    pub selector: Selector,
    /// How it should have been.
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
    /// The latest invalidation that asked for it.
    pub place: Place,
    /// How many did.
    pub invalidations: u64,
    /// What the cache answered to the latest try, where it was asked and its answer is known.
    pub exchange: Option<Exchange>,
}

/// What becomes of a dead letter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It waits for a human.
    Refused,
    /// It is purged again, as soon as the cache can be asked.
    Retrying,
    /// It was purged; its later passes follow, and then it is gone.
    Purged,
}

impl LetterState {
    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Retrying => "retrying",
            Self::Purged => "purged",
        }
    }
}

/// A dead letter as its agent keeps it: with every number that ends with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// The letter.
    pub letter: DeadLetter,
    /// The numbers that asked for it.
    pub numbers: Vec<(LineId, NumberRange)>,
}

/// What a lane tells of its dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetters {
    /// How many there are.
    pub count: u64,
    /// The newest of them, newest first.
    pub newest: Vec<DeadLetter>,
}

/// Which dead letters are meant: all that fulfil what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChosenLetters {
    /// Of these names, ascending; none: whatever its name.
    pub ids: Vec<Uuid>,
    /// Of agents there.
    pub region: Option<Region>,
    /// Of this agent.
    pub agent: Option<AgentName>,
    /// Of caches of this name.
    pub cache: Option<CacheName>,
    /// Of this site.
    pub site: Option<SiteName>,
    /// Whose selector or reason holds this text.
    pub text: Option<String>,
}

impl ChosenLetters {
    /// Whether letters of that cache may be meant.
    pub fn concerns(&self, region: &Region, agent: &AgentName, cache: &CacheName) -> bool {
        self.region.as_ref().is_none_or(|wanted| wanted == region)
            && self.agent.as_ref().is_none_or(|wanted| wanted == agent)
            && self.cache.as_ref().is_none_or(|wanted| wanted == cache)
    }

    /// Whether `letter` is meant, of a cache that is.
    pub fn names(&self, letter: &DeadLetter) -> bool {
        let holds = |text: &String| {
            letter.reason.contains(text) || letter.selector.to_string().contains(text)
        };
        (self.ids.is_empty() || self.ids.binary_search(&letter.id).is_ok())
            && self.site.as_ref().is_none_or(|wanted| *wanted == letter.site)
            && self.text.as_ref().is_none_or(holds)
    }
}
