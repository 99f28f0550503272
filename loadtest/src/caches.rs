//! `varnish-urls`, `varnish-keys` and `redis`: from the log to a real cache, against the same purges written straight to
//! it.

mod benchmark;
mod pipe;
mod redis;
mod returning;
mod varnish;

use std::sync::Arc;
use std::time::Duration;

use agent::{BatchConfig, OpenDriver};
use anyhow::ensure;
use broker_adapter::{Broker, Embedded, EmbeddedConfig, Message, Partition, Topic};
use clap::{Args, ValueEnum};
use daemon::Clock;
use schemas::{LineId, Priority};
use serde_json::{Value, json};
use tests::record::{self, Named};
use tokio::time::Instant;

use crate::log;
use crate::measure::{Round, Rounds, ratio};
use crate::purge_all::purge_all;
use crate::raw::Reading;
use crate::terms::Terms;
use crate::usage::Cpu;
use returning::{Returning, a_purge};

pub(crate) use varnish::Kind;

/// Invalidations in each frame of the log.
const FRAMED: u64 = 100;
/// Frames appended at once.
const FRAMES_AT_ONCE: usize = 500;

/// Purges a second through a lane.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Purges in each round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000))]
    count: u64,
    /// Purges in each batch of ours, and keys in each raw request where it has several
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    batch: u64,
    /// Rounds of the baseline and of ours, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// The same of Varnish.
#[derive(Debug, Args)]
pub(crate) struct OfVarnish {
    #[command(flatten)]
    options: Options,
    /// Where the log lies
    #[arg(long, default_value = "kafka")]
    broker: Source,
    /// Layers of Varnish, of which the inner one is purged first
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    layers: u8,
    /// Connections of the baseline to each layer; a lane has two
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
}

/// Where the log lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// In memory, with an agent in the process that measures: what the lane and its driver do, without a broker
    Memory,
    /// On NATS JetStream, with an agent process
    Nats,
    /// On Kafka, with an agent process
    Kafka,
}

/// A real cache.
enum Cache {
    Varnish(varnish::Stage),
    Redis(redis::Stage),
}

/// How purges come from the log to it.
enum Way {
    Memory { log: Arc<dyn Broker>, open: OpenDriver },
    Process(Box<Returning>),
}

/// Rounds of ours, of the baseline, and of the tool that comes with the cache; and what was old after ours.
#[derive(Debug, Default)]
struct Measured {
    ours: Rounds,
    raw: Rounds,
    tool: Rounds,
    stale: u64,
}

impl Source {
    fn broker(self) -> Option<log::Kind> {
        match self {
            Self::Memory => None,
            Self::Nats => Some(log::Kind::Nats),
            Self::Kafka => Some(log::Kind::Kafka),
        }
    }

    fn name(self) -> &'static str {
        self.broker().map_or("memory", log::Kind::name)
    }
}

impl Cache {
    /// Puts into it what is going to be purged.
    async fn fill(&self) -> anyhow::Result<()> {
        match self {
            Self::Varnish(stage) => stage.fill().await,
            Self::Redis(stage) => stage.fill().await,
        }
    }

    /// How much of that it still has.
    async fn stale(&self) -> anyhow::Result<u64> {
        match self {
            Self::Varnish(stage) => stage.stale().await,
            Self::Redis(stage) => stage.stale().await,
        }
    }

    /// Purges all, without anything of ours.
    async fn raw(&self) -> anyhow::Result<()> {
        match self {
            Self::Varnish(stage) => stage.raw().await,
            Self::Redis(stage) => stage.raw().await,
        }
    }

    /// The same by the tool that comes with the cache, where there is one.
    async fn benchmark(&self) -> anyhow::Result<Option<Reading>> {
        match self {
            Self::Varnish(_) => Ok(None),
            Self::Redis(stage) => Ok(Some(stage.benchmark().await?)),
        }
    }
}

impl Way {
    async fn purge_all(&mut self, options: &Options) -> anyhow::Result<Round> {
        match self {
            Self::Memory { log, open } => {
                measured(through_a_lane(log.clone(), open.clone(), options)).await
            }
            Self::Process(returning) => returning.purge_all(options.count).await,
        }
    }
}

/// Measures `varnish-urls` or `varnish-keys`.
pub(crate) async fn of_varnish(kind: Kind, of: &OfVarnish, terms: &Terms) -> anyhow::Result<Value> {
    let OfVarnish { options, broker, layers, connections } = of;
    let stage = varnish::Stage::start(kind, options, *layers, *connections).await?;
    let (named, mut notes) = (kind.named(), stage.notes());
    let mut way = match broker.broker() {
        None => {
            ensure!(*layers == 1, "an agent in this process has one cache: name another --broker");
            Way::Memory { log: log(options.count, named).await?, open: stage.open()? }
        }
        Some(broker) => {
            let (caches, layers) = (stage.settings(options.batch), usize::from(*layers));
            let returning = Returning::start(broker, caches, layers, named, terms).await?;
            Way::Process(Box::new(returning))
        }
    };
    let cache = Cache::Varnish(stage);
    let measured = measure(&cache, &mut way, options, terms).await?;
    let (mut baseline, layers) = (measured.raw.document()?, u64::from(*layers));
    let (ours, lost) = match &mut way {
        Way::Memory { .. } => (measured.ours.document()?, 0),
        Way::Process(returning) => {
            cache.fill().await?;
            let killed = returning.is_killed(options.count).await?;
            // The agent has nothing to do then.
            let varnishd = a_purge(&baseline, layers)["varnishd"].take();
            baseline["cpu_us_a_purge"] = json!({"varnishd": varnishd});
            (returning.document(&measured.ours, &killed)?, cache.stale().await?)
        }
    };
    notes.insert(0, if broker.broker().is_none() { IN_MEMORY } else { IN_A_PROCESS });
    Ok(json!({
        "scenario": kind.scenario(),
        "broker": broker.name(),
        "layers": layers,
        "count": options.count,
        "batch": options.batch,
        "ours": ours,
        "baseline": baseline,
        "ratio": ratio(measured.ours.median()?, measured.raw.median()?),
        "lost": lost,
        "stale_after_final": measured.stale,
        "notes": notes,
    }))
}

/// Measures `redis`.
pub(crate) async fn of_redis(options: &Options, terms: &Terms) -> anyhow::Result<Value> {
    let stage = redis::Stage::start(options).await;
    let log = log(options.count, record::key).await?;
    let mut way = Way::Memory { log, open: stage.open()? };
    let Measured { ours, raw, tool, stale } =
        measure(&Cache::Redis(stage), &mut way, options, terms).await?;
    let mut notes = vec![IN_MEMORY];
    notes.extend(redis::NOTES);
    Ok(json!({
        "scenario": "redis",
        "count": options.count,
        "batch": options.batch,
        "ours": ours.document()?,
        "baseline": raw.document()?,
        "baseline_benchmark": {"per_second": tool.median()?, "rounds": options.rounds},
        "ratio": ratio(ours.median()?, raw.median()?),
        "ratio_benchmark": ratio(ours.median()?, tool.median()?),
        "lost": 0,
        "stale_after_final": stale,
        "notes": notes,
    }))
}

const IN_MEMORY: &str = "ours: an agent in this process replays a log in memory, without later passes; every number was purged exactly once, or the run had failed";
const IN_A_PROCESS: &str = "ours: an agent process with one lane for each layer and without later passes comes back to a backlog in frames of 100; from its first to its last settled number, each purged in every layer; cpu_us_a_purge: for one purge of one layer; resident_bytes: the most that it ever had; lost: of the pages, those that the cache served old after one kill -9 in the middle and another life";

async fn measure(
    cache: &Cache,
    way: &mut Way,
    options: &Options,
    terms: &Terms,
) -> anyhow::Result<Measured> {
    let (mut all, measuring) = (Measured::default(), Instant::now());
    // The first warms up and does not count.
    for round in 0..=options.rounds {
        if round > 1 && terms.are_over(measuring) {
            break;
        }
        cache.fill().await?;
        let baseline = measured(async {
            let began = Instant::now();
            cache.raw().await?;
            Ok(Reading { messages: options.count, took: began.elapsed() })
        });
        let baseline = baseline.await?;
        ensure!(cache.stale().await? == 0, "the baseline leaves behind what it purges");
        let benchmark = cache.benchmark().await?;
        cache.fill().await?;
        let ours = way.purge_all(options).await?;
        all.stale += cache.stale().await?;
        if round > 0 {
            all.raw.push(baseline);
            all.ours.push(ours);
            // It has ended, and its CPU time with it.
            let Some(Reading { messages, took }) = benchmark else { continue };
            all.tool.push(Round { count: messages, took, cpu: Cpu::default() });
        }
    }
    Ok(all)
}

/// A log in memory that holds everything before a lane begins.
async fn log(count: u64, named: Named) -> anyhow::Result<Arc<dyn Broker>> {
    let clock = Clock::system();
    let broker = Embedded::in_memory(EmbeddedConfig::default(), move || clock.now())?;
    let line = LineId::random();
    let frames: Vec<_> = record::frames_of(line, count, FRAMED, named)
        .chain([record::heartbeat(line, count)])
        .map(|body| Message { key: None, id: None, body })
        .collect();
    let topic = Topic::log(Priority::Normal.as_str());
    for messages in frames.chunks(FRAMES_AT_ONCE) {
        broker.publish(topic, Partition::default(), messages.to_vec()).await?;
    }
    Ok(Arc::new(broker))
}

async fn through_a_lane(
    log: Arc<dyn Broker>,
    open: OpenDriver,
    options: &Options,
) -> anyhow::Result<Reading> {
    let state = tempfile::tempdir()?;
    let selectors = usize::try_from(options.batch)?;
    let batch = BatchConfig { selectors, wait: Duration::from_millis(50) };
    purge_all(log, state.path(), options.count, batch, open).await
}

async fn measured(reading: impl Future<Output = anyhow::Result<Reading>>) -> anyhow::Result<Round> {
    let before = Cpu::now()?;
    let Reading { messages, took } = reading.await?;
    Ok(Round { count: messages, took, cpu: Cpu::now()?.since(&before) })
}
