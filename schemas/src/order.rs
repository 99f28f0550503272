//! What humans order of agents, through a publisher, on the board.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{CacheName, ChosenLetters, Mode, Paused, Place, Priority, PublisherName, Region};

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

/// One order: obeyed once by whom it names, or, a pause, for as long as it stands; by nobody once it has expired.
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
    /// Purges, or publishing, wait for as long as the order is in force; nothing is lost.
    Pause {
        /// What.
        what: Paused,
        /// Why, for humans.
        reason: Option<String>,
        /// Who says so.
        by: String,
    },
    /// A pause that another publisher has ordered is over.
    Resume {
        /// Its name.
        pause: Uuid,
        /// Who says so.
        by: String,
    },
    /// Lanes that have not begun an invalidation leave it.
    Cancel {
        /// Its name.
        invalidation: Uuid,
        /// Its place.
        place: Place,
        /// In which lanes.
        priority: Priority,
        /// Who says so.
        by: String,
    },
}
