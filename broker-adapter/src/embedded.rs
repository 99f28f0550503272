//! The log on the publisher's own disk: redb, group commit, fsync before success.

mod commit;
mod failure;
mod reader;
mod retention;
mod store;
mod wake;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redb::backends::InMemoryBackend;
use redb::{Database, WriteTransaction};

use crate::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};
use commit::Commits;
use reader::Reader;
use wake::Wakes;

pub use retention::Removed;

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
        Self { retention: Duration::from_hours(7 * 24), retention_bytes: 4 << 30 }
    }
}

/// The embedded broker, in one process. Cheap to clone.
///
/// Blocking work runs on tokio's blocking threads. A reader holds no transaction between two reads.
#[derive(Debug, Clone)]
pub struct Embedded(Arc<Log>);

/// What all clones and readers share.
struct Log {
    database: Arc<Database>,
    config: EmbeddedConfig,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    wakes: Wakes,
    commits: Commits,
}

impl Embedded {
    /// Opens the log inside `database`, which it may share with others' tables. Blocks on the disk.
    ///
    /// `now` is the broker's clock; a clock that goes back is held at the newest time of the partition.
    pub fn open(
        database: Arc<Database>,
        config: EmbeddedConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Self, BrokerError> {
        store::create_tables(&database).map_err(failure::broker_error)?;
        Ok(Self(Arc::new(Log {
            database,
            config,
            now: Box::new(now),
            wakes: Wakes::default(),
            commits: Commits::default(),
        })))
    }

    /// A log that is gone when its last clone is.
    pub fn in_memory(
        config: EmbeddedConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Self, BrokerError> {
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(failure::broker_error)?;
        Self::open(Arc::new(database), config, now)
    }

    /// Appends within a caller's transaction: durable when that commits. Call [`Embedded::committed`] after
    /// the commit, so that readers wake.
    pub fn append(
        &self,
        transaction: &WriteTransaction,
        topic: Topic,
        partition: Partition,
        messages: &[Message],
        now: Timestamp,
    ) -> Result<(), BrokerError> {
        failure::check_keys(topic, messages)?;
        store::append(transaction, topic, partition, messages, now).map_err(failure::broker_error)
    }

    /// Wakes readers of `topic` after a commit.
    pub fn committed(&self, topic: Topic) {
        self.0.wakes.wake(topic);
    }

    /// Removes what log topics keep beyond their age and bytes, in small transactions. To be called now and
    /// then by the process that embeds the log; a dropped call goes on with the next one.
    pub async fn retain(&self, now: Timestamp) -> Result<Removed, BrokerError> {
        let mut total = Removed::default();
        loop {
            let log = Arc::clone(&self.0);
            let removed =
                failure::blocking(move || retention::step(&log.database, &log.config, now)).await?;
            if removed == Removed::default() {
                return Ok(total);
            }
            total += removed;
        }
    }
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        failure::check_keys(topic, &messages)?;
        commit::publish(&self.0, topic, partition, messages).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        Ok(Box::new(Reader::new(Arc::clone(&self.0), topic, start).await?))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        let log = Arc::clone(&self.0);
        failure::blocking(move || store::bounds(&log.database, topic)).await
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("config", &self.config).finish_non_exhaustive()
    }
}
