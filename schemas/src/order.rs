//! What humans order of agents, through a publisher, on the board.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{CacheName, ChosenLetters, Mode, PublisherName, Region};

/// Most orders of one publisher at a time.
pub const ORDERS_MAX: usize = 1_000;

/// All orders of one publisher that are in force; the latest word replaces all before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// The publisher through which they were given.
    pub by: PublisherName,
    /// Each of them, ascending by id. One of a kind that a reader does not know is none to it.
    pub orders: Vec<Order>,
}

/// One order: obeyed once by whom it names, and by nobody once it has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: Uuid,
    /// Since when, on the publisher's clock.
    pub at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// What shall be done, and by whom.
    pub what: Ordered,
}

/// What shall be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// Caches are flushed: all that an agent holds of its sites.
    Flush {
        /// Where.
        region: Region,
        /// Which; `None`: every cache there.
        cache: Option<CacheName>,
        /// Whether objects are removed, or marked stale.
        mode: Mode,
    },
    /// Dead letters are purged again.
    Retry {
        /// Which.
        letters: ChosenLetters,
    },
    /// Dead letters that were there when it was ordered are given up: a human answers for what the caches still hold.
    Drop {
        /// Which.
        letters: ChosenLetters,
        /// Why.
        reason: String,
        /// Who says so.
        by: String,
    },
}
