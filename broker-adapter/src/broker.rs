//! The seam between the bus and whatever carries its messages.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

/// Any error of a backend's own library.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a topic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKind {
    /// All messages for a time.
    Log,
    /// The latest message per key.
    Board,
}

/// A named stream of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    name: &'static str,
    kind: TopicKind,
}

impl Topic {
    /// A topic that keeps all messages for a time.
    pub const fn log(name: &'static str) -> Self {
        Self { name, kind: TopicKind::Log }
    }

    /// A topic that keeps the latest message per key.
    pub const fn board(name: &'static str) -> Self {
        Self { name, kind: TopicKind::Board }
    }

    /// Its name: lower-case letters and hyphens.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What it keeps.
    pub fn kind(self) -> TopicKind {
        self.kind
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// A part of a topic with an order of its own; 0 where a backend has only one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// Where a broker keeps a message within its partition; only a hint where to resume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A position in each partition: the next message to read.
pub type Positions = BTreeMap<Partition, Position>;

/// First and last position kept of every partition.
pub type Bounds = BTreeMap<Partition, PartitionBounds>;

/// What is kept of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBounds {
    /// The oldest message kept.
    pub first: Position,
    /// The next message to be written; equals `first` when nothing is kept.
    pub end: Position,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What a board keeps the latest of; `None` on a log.
    pub key: Option<String>,
    /// Repeating it may be deduplicated by the backend, never relied upon.
    pub id: Option<String>,
    /// Opaque bytes.
    pub body: Bytes,
}

/// A message as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its partition.
    pub partition: Partition,
    /// Its position there.
    pub position: Position,
    /// When the broker took it, on the broker's clock.
    pub time: Timestamp,
    /// Its key, on a board.
    pub key: Option<String>,
    /// Its bytes.
    pub body: Bytes,
}

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message kept.
    Oldest,
    /// After the newest: only what comes from now on.
    Newest,
    /// At these positions; a partition not named begins at its oldest.
    At(Positions),
    /// At the first message the broker took at this time or later; after the newest where there is none.
    Since(Timestamp),
}

/// What the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Wait and repeat: a publish that failed so may still have landed.
    #[error("broker unavailable")]
    Unavailable(#[source] BoxError),
    /// Stop: repeating will not help.
    #[error("broker refused")]
    Refused(#[source] BoxError),
}

/// Carries messages from publishers to every reader. Knows neither numbers nor caches.
#[async_trait]
pub trait Broker: Debug + Send + Sync + 'static {
    /// Appends in order; durable when it returns. Repeating a message id may be deduplicated.
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError>;

    /// Everything from `start` on, then what comes. A start outside what is kept, on either side,
    /// begins at the oldest. A board gives the latest message of every key first, whatever the start
    /// (but `Newest`).
    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError>;

    /// First and next position of every partition.
    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError>;
}

/// A reader's place in a topic.
#[async_trait]
pub trait Subscription: Debug + Send + 'static {
    /// At least one delivery, at most `max` (which is at least 1); waits until there is one. Cancel-safe:
    /// a dropped call has taken nothing.
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError>;
}
