//! `lane`: from the log to a cache that does nothing, against the broker's own consumer.

mod bench;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::log::Way;
use crate::measure::{Round, Rounds, ratio};
use crate::raw::{self, Reading};
use crate::terms::Terms;
use crate::usage::Cpu;
use bench::Bench;

/// A frame has at most 64 KiB.
const FRAMED_MAX: u64 = 400;

/// Invalidations a second through a lane.
#[derive(Debug, Args)]
pub(crate) struct Lane {
    /// The broker
    #[arg(long)]
    broker: Way,
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

impl Lane {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let bench = Bench::start(self.broker, self.count, self.framed).await?;
        let (mut ours, mut raw) = (Rounds::default(), Rounds::default());
        let (mut same, mut decoded) = (Rounds::default(), Rounds::default());
        let began = Instant::now();
        // The first warms up and does not count.
        for round in 0..=self.rounds {
            if round > 1 && terms.are_over(began) {
                break;
            }
            let single = measured(bench.read_single(raw::counted)).await?;
            let lane = measured(bench.lane()).await?;
            let mut again = measured(bench.read_same(raw::counted)).await?;
            let mut understood = measured(bench.read_same(raw::decoded)).await?;
            again.count *= self.framed;
            understood.count *= self.framed;
            if round > 0 {
                raw.push(single);
                ours.push(lane);
                same.push(again);
                decoded.push(understood);
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
            "baseline_decoded": decoded.document()?,
            "ratio_decoded": ratio(ours.median()?, decoded.median()?),
            "lost": 0,
            "stale_after_final": 0,
            "notes": [
                "ours: an agent in this process replays the log into a driver that does nothing; every number was purged exactly once, or the run had failed",
                "baseline: the broker's own consumer (of an embedded log, a bare redb) counts messages of one invalidation each, and decodes nothing",
                "baseline_same_messages: it reads the very frames of the lane, counted in invalidations, and decodes nothing",
                "baseline_decoded: it reads them, checks and decodes each, and forgets it: whatever acts on invalidations does that much",
                "there is no cache in this run, so nothing could be stale",
            ],
        }))
    }
}

async fn measured(reading: impl Future<Output = anyhow::Result<Reading>>) -> anyhow::Result<Round> {
    let before = Cpu::now()?;
    let Reading { messages, took } = reading.await?;
    Ok(Round { count: messages, took, cpu: Cpu::now()?.since(&before) })
}
