//! How a number ended for a lane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a number ended for a lane, from best to worst: of several selectors the worst wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// For another site, region, or kind of cache.
    NotOurs,
    /// The cache purged it.
    Purged,
    /// A wider purge of this cache included it.
    Covered,
    /// The whole cache was flushed after it was published.
    Flushed,
    /// Older than its `expires_in` when its turn came.
    Expired,
    /// Stopped by a human: before this lane began it, or as a dead letter that was dropped.
    Cancelled,
    /// Handed on to another broker; never counts as applied.
    Bridged,
    /// This cache cannot purge this kind of selector, though it may hold such objects.
    Unsupported,
    /// The healthy cache refused it; it is a dead letter.
    Refused,
}

impl Outcome {
    /// All of them, best first.
    pub const ALL: [Self; 9] = [
        Self::NotOurs,
        Self::Purged,
        Self::Covered,
        Self::Flushed,
        Self::Expired,
        Self::Cancelled,
        Self::Bridged,
        Self::Unsupported,
        Self::Refused,
    ];

    /// Whether a number with this outcome counts as applied.
    pub fn applied(self) -> bool {
        !matches!(self, Self::Bridged | Self::Unsupported | Self::Refused)
    }

    /// The word for it in JSON, metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Purged => "purged",
            Self::Covered => "covered",
            Self::Flushed => "flushed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Bridged => "bridged",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
