//! Who is gone for good: said by a human, through a publisher, on the board.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{AgentName, LineId, Number, Priority, PublisherName};

/// Nothing is owed by, or expected of, who is named here, until it speaks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// Who is gone.
    pub retired: Retired,
    /// Since when, on the clock of the publisher that says so.
    pub at: Timestamp,
    /// The publisher that says so.
    pub by: PublisherName,
}

/// Who is gone, and the last that was known of it: whatever goes beyond that is its return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retired {
    /// An agent.
    Agent {
        /// Its name.
        name: AgentName,
        /// Its instances, each with the sequence of its last report; ascending.
        instances: Vec<(Uuid, u64)>,
    },
    /// A publisher.
    Publisher {
        /// Its name.
        name: PublisherName,
        /// Its lines, each with the last number that anyone has heard of; ascending.
        lines: Vec<(LineId, Number)>,
        /// Those of them that it had not closed itself; ascending.
        open: Vec<OpenLine>,
    },
}

/// A line on which its publisher spoke to the last, and where: whoever lacks its last numbers must be told there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenLine {
    /// The line.
    pub line: LineId,
    /// The topic.
    pub priority: Priority,
    /// The partition.
    pub partition: u32,
}
