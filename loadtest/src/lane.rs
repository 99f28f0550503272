//! `lane`: from the log to a cache that does nothing, against the broker's own consumer.

use std::sync::Arc;

use agent::BatchConfig;
use broker_adapter::{Broker, Message, Partition, Topic};
use bytes::Bytes;
use clap::Args;
use schemas::{LineId, Priority};
use serde_json::{Value, json};

use crate::log::{Kind, Log};
use crate::measure::{Round, Rounds, ratio};
use crate::noop::NoOp;
use crate::raw::{Place, Raw, Reading};
use crate::record;
use crate::replay::replay;
use crate::usage::Cpu;

/// Names of the run's streams and topics begin so.
const PREFIX: &str = "purgebus";
/// A frame has at most 64 KiB.
const FRAMED_MAX: u64 = 400;

/// Invalidations a second through a lane.
#[derive(Debug, Args)]
pub(crate) struct Lane {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// Invalidations on the log
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(10_000..=10_000_000))]
    count: u64,
    /// Invalidations in each frame
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=FRAMED_MAX))]
    framed: u64,
    /// Rounds of the baseline and of ours, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// What takes part in every round.
struct Bench {
    broker: Arc<dyn Broker>,
    raw: Raw,
    /// Messages of one invalidation each, for the raw consumer.
    single: Place,
    /// The messages that the lane reads.
    same: Place,
    _log: Log,
}

impl Lane {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        let bench = Bench::start(self).await?;
        let frames = self.count.div_ceil(self.framed);
        let (mut ours, mut raw, mut same) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        // The first warms up and does not count.
        for round in 0..=self.rounds {
            let single = measured(bench.raw.read(&bench.single, self.count)).await?;
            let lane = measured(bench.lane(self.count)).await?;
            // The frames, and the heartbeat behind them.
            let mut again = measured(bench.raw.read(&bench.same, frames + 1)).await?;
            again.count *= self.framed;
            if round > 0 {
                raw.push(single);
                ours.push(lane);
                same.push(again);
            }
        }
        Ok(json!({
            "scenario": "lane",
            "broker": self.broker.name(),
            "invalidations_each": self.framed,
            "count": self.count,
            "ours": ours.document()?,
            "baseline": raw.document()?,
            "ratio": ratio(ours.median()?, raw.median()?),
            "baseline_same_messages": same.document()?,
            "ratio_same_messages": ratio(ours.median()?, same.median()?),
            "lost": 0,
            "stale_after_final": 0,
            "notes": [
                "ours: an agent in this process replays the log into a driver that does nothing; every number was purged exactly once, or the run had failed",
                "baseline: the broker's own consumer counts messages of one invalidation each, and decodes nothing",
                "baseline_same_messages: it reads the very frames of the lane, counted in invalidations, and decodes nothing",
                "there is no cache in this run, so nothing could be stale",
            ],
        }))
    }
}

impl Bench {
    async fn start(wanted: &Lane) -> anyhow::Result<Self> {
        let log = wanted.broker.start().await;
        let (broker, raw) = (log.broker(PREFIX).await?, log.raw().await?);
        let topic = Topic::log(Priority::Normal.as_str());
        let line = LineId::random();
        // Ours makes the topic: as it is at work.
        publish(broker.as_ref(), topic, record::frames(line, wanted.framed, wanted.framed)).await?;
        let same = log.place(PREFIX, topic);
        let frames = record::frames(line, wanted.count, wanted.framed).skip(1);
        raw.publish_all(&same, frames.chain([record::heartbeat(line, wanted.count)])).await?;
        let single = raw.make("baseline").await?;
        raw.publish_all(&single, record::frames(line, wanted.count, 1)).await?;
        Ok(Self { broker, raw, single, same, _log: log })
    }

    async fn lane(&self, count: u64) -> anyhow::Result<Reading> {
        let state = tempfile::tempdir()?;
        let batch = BatchConfig::default();
        replay(self.broker.clone(), state.path(), count, batch, Box::new(|_| Arc::new(NoOp))).await
    }
}

async fn publish(
    broker: &dyn Broker,
    topic: Topic,
    bodies: impl Iterator<Item = Bytes>,
) -> anyhow::Result<()> {
    let messages = bodies.map(|body| Message { key: None, id: None, body }).collect();
    Ok(broker.publish(topic, Partition::default(), messages).await?)
}

async fn measured(reading: impl Future<Output = anyhow::Result<Reading>>) -> anyhow::Result<Round> {
    let before = Cpu::now()?;
    let Reading { messages, took } = reading.await?;
    Ok(Round { count: messages, took, cpu: Cpu::now()?.since(&before) })
}
