//! `varnish`, `keys` and `redis`: from the log to a real cache, against the same purges written straight to it.

mod benchmark;
mod pipe;
mod redis;
mod varnish;

use std::sync::Arc;
use std::time::Duration;

use agent::{BatchConfig, OpenDriver};
use anyhow::ensure;
use broker_adapter::{Broker, Embedded, EmbeddedConfig, Message, Partition, Topic};
use clap::Args;
use daemon::Clock;
use schemas::{LineId, Priority};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::measure::{Round, Rounds, ratio};
use crate::purge_all::purge_all;
use crate::raw::Reading;
use crate::record::{self, Named};
use crate::terms::Terms;
use crate::usage::Cpu;

/// Invalidations in each frame of the log.
const FRAMED: u64 = 100;
/// Frames appended at once.
const FRAMES_AT_ONCE: usize = 500;

/// Purges a second through a lane.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Purges in each round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000))]
    count: u64,
    /// Purges in each batch of ours, and keys in each raw request where it has several
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    batch: u64,
    /// Rounds of the baseline and of ours, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of Varnish with a plain VCL.
    Urls,
    /// Of Varnish with our VCL.
    Tags,
    /// Of Redis.
    Keys,
}

/// A real cache, and what is told of its scenario.
enum Cache {
    Varnish(varnish::Stage),
    Redis(redis::Stage),
}

impl Cache {
    async fn start(kind: Kind, options: &Options) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Urls | Kind::Tags => Self::Varnish(varnish::Stage::start(kind, options).await?),
            Kind::Keys => Self::Redis(redis::Stage::start(options).await),
        })
    }

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

    fn open(&self) -> anyhow::Result<OpenDriver> {
        match self {
            Self::Varnish(stage) => stage.open(),
            Self::Redis(stage) => stage.open(),
        }
    }

    /// The same by the tool that comes with the cache, where there is one.
    async fn benchmark(&self) -> anyhow::Result<Option<Reading>> {
        match self {
            Self::Varnish(_) => Ok(None),
            Self::Redis(stage) => Ok(Some(stage.benchmark().await?)),
        }
    }

    fn notes(&self) -> Vec<&'static str> {
        match self {
            Self::Varnish(stage) => stage.notes().to_vec(),
            Self::Redis(_) => redis::NOTES.to_vec(),
        }
    }
}

impl Kind {
    fn scenario(self) -> &'static str {
        match self {
            Self::Urls => "varnish",
            Self::Tags => "keys",
            Self::Keys => "redis",
        }
    }

    fn named(self) -> Named {
        match self {
            Self::Urls => record::page,
            Self::Tags => record::tag,
            Self::Keys => record::key,
        }
    }
}

/// Measures one of the three scenarios.
pub(crate) async fn run(kind: Kind, options: &Options, terms: &Terms) -> anyhow::Result<Value> {
    let cache = Cache::start(kind, options).await?;
    let log = log(options.count, kind.named()).await?;
    let (mut ours, mut raw, mut tool) = (Rounds::default(), Rounds::default(), Rounds::default());
    let (mut stale, measuring) = (0, Instant::now());
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
        let lane = measured(through_a_lane(&cache, log.clone(), options)).await?;
        stale += cache.stale().await?;
        if round > 0 {
            raw.push(baseline);
            ours.push(lane);
            // It has ended, and its CPU time with it.
            let Some(Reading { messages, took }) = benchmark else { continue };
            tool.push(Round { count: messages, took, cpu: Cpu::default() });
        }
    }
    let mut notes = vec![
        "ours: an agent in this process replays a log in memory, without later passes; every number was purged exactly once, or the run had failed",
    ];
    notes.extend(cache.notes());
    let mut document = json!({
        "scenario": kind.scenario(),
        "count": options.count,
        "batch": options.batch,
        "ours": ours.document()?,
        "baseline": raw.document()?,
        "ratio": ratio(ours.median()?, raw.median()?),
        "lost": 0,
        "stale_after_final": stale,
        "notes": notes,
    });
    if let Ok(benchmark) = tool.median() {
        document["baseline_benchmark"] = json!({"per_second": benchmark, "rounds": options.rounds});
        document["ratio_benchmark"] = json!(ratio(ours.median()?, benchmark));
    }
    Ok(document)
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
    cache: &Cache,
    log: Arc<dyn Broker>,
    options: &Options,
) -> anyhow::Result<Reading> {
    let state = tempfile::tempdir()?;
    let selectors = usize::try_from(options.batch)?;
    let batch = BatchConfig { selectors, wait: Duration::from_millis(50) };
    purge_all(log, state.path(), options.count, batch, cache.open()?).await
}

async fn measured(reading: impl Future<Output = anyhow::Result<Reading>>) -> anyhow::Result<Round> {
    let before = Cpu::now()?;
    let Reading { messages, took } = reading.await?;
    Ok(Round { count: messages, took, cpu: Cpu::now()?.since(&before) })
}
