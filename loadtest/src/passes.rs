//! `passes`: resident memory of an agent process while more waits for later passes than it holds in memory.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tests::serve::{PAGES, Settings};
use tests::servers::redis::Redis;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::log::Kind;
use crate::watched::Watched;

/// How often something is published, and memory is read.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u64 = 10;
/// Invalidations in each frame.
const FRAMED: u64 = 100;
/// Longest time from the last number to the end of its last pass.
const PATIENCE: Duration = Duration::from_mins(10);
/// What the documents allow above idle, in bytes.
const ALLOWED: u64 = 64 << 20;

/// Memory of later passes.
#[derive(Debug, Args)]
pub(crate) struct Passes {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// URLs a second, each another
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    rate: u64,
    /// For so many seconds
    #[arg(long, default_value_t = 65, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Selectors that the lane holds, where not its default
    #[arg(long)]
    rebound_selectors: Option<u64>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    peak: u64,
    held: u64,
    deferred: u64,
}

impl Seen {
    async fn look(&mut self, agent: &Watched) -> anyhow::Result<()> {
        let count = async |name: &str| agent.admin().count(name, &[]).await;
        self.peak = self.peak.max(agent.resident()?);
        self.held = self.held.max(count("purgebus_rebounds_waiting").await);
        self.deferred = self.deferred.max(count("purgebus_rebounds_deferred").await);
        Ok(())
    }
}

impl Passes {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        let redis = Redis::start().await;
        let held = self.rebound_selectors.map(|most| format!("rebound_selectors = {most}"));
        let passes = format!("rebounds = [\"1s\", \"11s\", \"65s\"]\n{}", held.unwrap_or_default());
        let cache = Settings::default().redis(redis.address(), PAGES, &passes);
        let mut agent = Watched::start(self.broker, cache).await?;
        let (idle, before, first) = (agent.resident()?, agent.settled().await, agent.last);
        let (mut seen, began) = (Seen::default(), Instant::now());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..self.seconds * TICKS_PER_SECOND {
            ticks.tick().await;
            agent.publish(self.rate / TICKS_PER_SECOND, FRAMED).await?;
            seen.look(&agent).await?;
        }
        let (published, took) = (agent.last - first, began.elapsed());
        let unsettled = (before + published).saturating_sub(agent.settled().await);
        let published_at = Instant::now();
        while !through(&agent, before + published).await {
            ensure!(published_at.elapsed() < PATIENCE, "its passes do not end");
            ticks.tick().await;
            seen.look(&agent).await?;
        }
        let count = async |name: &str| agent.admin().count(name, &[]).await;
        Ok(json!({
            "scenario": "passes",
            "broker": self.broker.name(),
            "ours": {
                "idle_bytes": idle,
                "peak_bytes": seen.peak,
                "above_idle_bytes": seen.peak.saturating_sub(idle),
                "held_peak": seen.held,
                "read_again_peak": seen.deferred,
                "rereads": count("purgebus_rereads_total").await,
                "purges": agent.sum("purgebus_batch_selectors_sum").await,
                "flushes": count("purgebus_flushes_total").await,
                "unsettled_at_the_end": unsettled,
                "through_after_seconds": published_at.elapsed().as_secs(),
            },
            "baseline": {"above_idle_bytes": ALLOWED},
            "published": published,
            "published_in_seconds": took.as_secs(),
            "notes": [
                "baseline: what is allowed",
                "ours: one Redis, as many distinct urls; each is purged at once and after 1, 11 and 65 s; memory is read ten times a second until the last pass",
            ],
        }))
    }
}

/// Whether so many numbers are settled, and no pass is left.
async fn through(agent: &Watched, settled: u64) -> bool {
    let count = async |name: &str| agent.admin().count(name, &[]).await;
    agent.settled().await >= settled
        && count("purgebus_rebounds_waiting").await == 0
        && count("purgebus_rebounds_deferred").await == 0
}
