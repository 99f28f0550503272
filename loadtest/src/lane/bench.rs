//! What takes part in every round: a log full of frames, our way to it, and what it is measured against.

use std::iter::once;
use std::sync::Arc;

use agent::BatchConfig;
use broker_adapter::{Broker, Embedded, EmbeddedConfig, Message, Partition, Topic};
use bytes::Bytes;
use daemon::Clock;
use redb::Database;
use schemas::{LineId, Priority};
use tempfile::TempDir;
use tests::record;

use crate::log::{Kind, Log, Way};
use crate::noop::NoOp;
use crate::purge_all::purge_all;
use crate::raw::store::Store;
use crate::raw::{Look, Place, Raw, Reading};

/// Names of the run's streams and topics begin so.
const PREFIX: &str = "purgebus";
/// Messages of one commit of an embedded log.
const COMMITTED: usize = 10_000;

/// What takes part in every round.
pub(super) struct Bench {
    broker: Arc<dyn Broker>,
    baseline: Baseline,
    count: u64,
    /// How many frames the lane reads, and the heartbeat behind them.
    messages: u64,
}

enum Baseline {
    Client {
        raw: Box<Raw>,
        /// Messages of one invalidation each.
        single: Place,
        /// The messages that the lane reads.
        same: Place,
        _log: Box<Log>,
    },
    Bare {
        single: Store,
        same: Store,
        _folder: TempDir,
    },
}

impl Bench {
    /// A log of `count` invalidations in frames of `framed`, and others of one each.
    pub(super) async fn start(way: Way, count: u64, framed: u64) -> anyhow::Result<Self> {
        match way {
            Way::Embedded => Self::embedded(count, framed).await,
            Way::Nats => Self::remote(Kind::Nats, count, framed).await,
            Way::Kafka => Self::remote(Kind::Kafka, count, framed).await,
        }
    }

    async fn remote(kind: Kind, count: u64, framed: u64) -> anyhow::Result<Self> {
        let log = kind.start().await;
        let (broker, raw) = (log.broker(PREFIX).await?, log.raw().await?);
        let line = LineId::random();
        // Ours makes the topic: as it is at work.
        publish(broker.as_ref(), record::frames(line, framed, framed).collect()).await?;
        let same = log.place(PREFIX, topic());
        raw.publish_all(&same, messages(line, count, framed).skip(1)).await?;
        let single = raw.make("baseline").await?;
        raw.publish_all(&single, record::frames(line, count, 1)).await?;
        let baseline = Baseline::Client { raw: Box::new(raw), single, same, _log: Box::new(log) };
        Ok(Self { broker, baseline, count, messages: count.div_ceil(framed) + 1 })
    }

    async fn embedded(count: u64, framed: u64) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let database = Arc::new(Database::create(folder.path().join("log.redb"))?);
        let broker = Embedded::open(database, EmbeddedConfig::default(), || Clock::system().now())?;
        let line = LineId::random();
        let mut bodies = messages(line, count, framed);
        loop {
            let commit: Vec<_> = bodies.by_ref().take(COMMITTED).collect();
            if commit.is_empty() {
                break;
            }
            publish(&broker, commit).await?;
        }
        let single = Store::of(record::frames(line, count, 1))?;
        let same = Store::of(messages(line, count, framed))?;
        let baseline = Baseline::Bare { single, same, _folder: folder };
        let messages = count.div_ceil(framed) + 1;
        Ok(Self { broker: Arc::new(broker), baseline, count, messages })
    }

    /// The baseline reads messages of one invalidation each.
    pub(super) async fn read_single(&self, look: Look) -> anyhow::Result<Reading> {
        match &self.baseline {
            Baseline::Client { raw, single, .. } => raw.read(single, self.count, look).await,
            Baseline::Bare { single, .. } => single.read(look).await,
        }
    }

    /// The baseline reads the messages of the lane.
    pub(super) async fn read_same(&self, look: Look) -> anyhow::Result<Reading> {
        match &self.baseline {
            Baseline::Client { raw, same, .. } => raw.read(same, self.messages, look).await,
            Baseline::Bare { same, .. } => same.read(look).await,
        }
    }

    /// An agent replays the log.
    pub(super) async fn lane(&self) -> anyhow::Result<Reading> {
        let state = tempfile::tempdir()?;
        let batch = BatchConfig::default();
        purge_all(
            self.broker.clone(),
            state.path(),
            self.count,
            batch,
            Arc::new(|_| Arc::new(NoOp)),
        )
        .await
    }
}

fn topic() -> Topic {
    Topic::log(Priority::Normal.as_str())
}

/// The frames of a line, and a heartbeat behind them.
fn messages(line: LineId, count: u64, framed: u64) -> impl Iterator<Item = Bytes> {
    record::frames(line, count, framed).chain(once(record::heartbeat(line, count)))
}

async fn publish(broker: &dyn Broker, bodies: Vec<Bytes>) -> anyhow::Result<()> {
    let message = |body| Message { key: None, id: None, body };
    let messages = bodies.into_iter().map(message).collect();
    Ok(broker.publish(topic(), Partition::default(), messages).await?)
}
