//! The log on the publisher's own disk: redb, group commit, fsync before success.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{Database, WriteTransaction};

use crate::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};

/// How much the embedded log keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Messages of log topics older than this are removed.
    pub retention: Duration,
    /// The oldest messages of a log topic beyond this many bytes of bodies are removed.
    pub retention_bytes: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { retention: Duration::from_secs(7 * 24 * 3600), retention_bytes: 4 << 30 }
    }
}

/// The embedded broker, in one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedded {}

impl Embedded {
    /// Opens the log inside `database`, which it may share with others' tables.
    pub fn open(_database: Arc<Database>, _config: EmbeddedConfig) -> Result<Self, BrokerError> {
        unimplemented!()
    }

    /// Appends within a caller's transaction: durable when that commits. Call [`Embedded::committed`] after
    /// the commit, so that readers wake.
    pub fn append(
        &self,
        _transaction: &WriteTransaction,
        _topic: Topic,
        _partition: Partition,
        _messages: &[Message],
        _now: Timestamp,
    ) -> Result<(), BrokerError> {
        unimplemented!()
    }

    /// Wakes readers of `topic` after a commit.
    pub fn committed(&self, _topic: Topic) {
        unimplemented!()
    }
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(&self, _: Topic, _: Partition, _: Vec<Message>) -> Result<(), BrokerError> {
        unimplemented!()
    }

    async fn subscribe(&self, _: Topic, _: Start) -> Result<Box<dyn Subscription>, BrokerError> {
        unimplemented!()
    }

    async fn bounds(&self, _: Topic) -> Result<Bounds, BrokerError> {
        unimplemented!()
    }
}
