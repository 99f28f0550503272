//! What is to be flushed, how, and why.

use schemas::{Mode, SiteName};

/// Why a lane flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// It has no cursor: whatever the cache holds may be stale.
    NoCursor,
    /// Numbers are lost, or were missing for too long.
    Hole,
    /// The configuration has more sites, other templates or another region than the cursor.
    Configuration,
    /// It was away for longer than closed lines are told.
    Away,
    /// The cache that it comes after was flushed.
    Inner,
    /// A human has ordered it.
    Ordered,
}

impl Cause {
    /// The word for it in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoCursor => "no_cursor",
            Self::Hole => "hole",
            Self::Configuration => "configuration",
            Self::Away => "away",
            Self::Inner => "inner",
            Self::Ordered => "ordered",
        }
    }

    /// The same in words for people.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoCursor => "there is no cursor",
            Self::Hole => "invalidations were lost on their way",
            Self::Configuration => "the configuration has changed",
            Self::Away => "the agent was away for longer than what was lost meanwhile is told",
            Self::Inner => "the cache behind it was flushed",
            Self::Ordered => "a human has ordered it",
        }
    }

    /// Whether what the cache holds is in doubt as a whole. Else the floors tell what it has seen: they stay below
    /// what the flush is to make up for.
    pub(super) fn doubts_all(self) -> bool {
        matches!(self, Self::NoCursor | Self::Configuration | Self::Away)
    }
}

/// What is to be flushed, how, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Why.
    pub(crate) cause: Cause,
    /// Which sites.
    pub(crate) sites: Vec<SiteName>,
    /// Whether objects are removed, or marked stale: that makes up for nothing, for what was lost may have been hard.
    pub(crate) mode: Mode,
}
