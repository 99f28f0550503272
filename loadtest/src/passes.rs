//! `passes`: resident memory of an agent process while more waits for later passes than it holds in memory.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tests::serve::{PAGES, Settings};
use tests::servers::redis::Redis;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::kept::Kept;
use crate::log::Kind;
use crate::measure::ratio;
use crate::terms::Terms;
use crate::watched::Watched;

/// How often something is published, and memory is read.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u64 = 10;
/// For 65 s.
const TICKS: u32 = 650;
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
    /// When later passes come
    #[arg(long = "passes", value_delimiter = ',', default_values = ["1s", "11s", "65s"])]
    later: Vec<String>,
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
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let redis = Redis::start().await;
        let held = self.rebound_selectors.map(|most| format!("rebound_selectors = {most}"));
        let passes = format!("rebounds = {:?}\n{}", self.later, held.unwrap_or_default());
        let cache = Settings::default().redis(redis.address(), PAGES, &passes);
        let mut kept = Kept::begin(&redis).await;
        let mut agent = Watched::start(self.broker, cache, terms).await?;
        let (idle, before, first) = (agent.resident()?, agent.settled().await, agent.last);
        let (mut seen, began) = (Seen::default(), Instant::now());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..terms.count(TICK, TICKS) {
            kept.store(agent.last + 1).await?;
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
        let left = kept.left().await?;
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
            "ratio": ratio(seen.peak.saturating_sub(idle), ALLOWED),
            "lost": left,
            "stale_after_final": left,
            "published": published,
            "published_in_seconds": took.as_secs(),
            "notes": [
                "baseline: what is allowed; ratio: of what is taken above idle",
                "lost, stale_after_final: of the pages that were in Redis before, ten a second, those that are there after the last pass",
                "ours: one Redis, as many distinct urls; each is purged at once and in each later pass; memory is read ten times a second until the last pass",
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
