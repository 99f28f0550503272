//! What a process is on the bus, and so which tables of the file concern it.

use std::fmt;

use super::document::Document;

/// What a process is on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Publisher and agent in one process.
    Serve,
    /// The publisher alone.
    Publisher,
    /// The agent alone.
    Agent,
}

impl Role {
    /// Whether it accepts invalidations: `[publisher]` concerns it.
    pub(crate) fn publishes(self) -> bool {
        self != Self::Agent
    }

    /// Whether it purges caches: `[agent]` concerns it.
    pub(crate) fn purges(self) -> bool {
        self != Self::Publisher
    }

    /// What a file is written for: the role whose table alone it has, where the log lies elsewhere. `written`
    /// says whether the file itself, without the environment, has `[publisher]` and `[agent]`.
    pub(super) fn of(document: &Document<'_>, written: [bool; 2]) -> Self {
        let kind = document.table().get("broker").and_then(|broker| broker.get_ref().get("kind"));
        let embedded = kind.is_none_or(|kind| kind.get_ref().as_str() == Some("embedded"));
        match (embedded, written) {
            (false, [true, false]) => Self::Publisher,
            (false, [false, true]) => Self::Agent,
            _ => Self::Serve,
        }
    }
}

impl fmt::Display for Role {
    /// The verb that runs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Publisher => "publisher",
            Self::Agent => "agent",
        })
    }
}
