//! `replay`: a replay of all that a long log holds, how fast and in how much memory, and what critical purges that are
//! published meanwhile notice of one, against critical ones alone, in an open loop.

mod filled;

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tests::serve::{PAGES, Settings};
use tests::servers::redis::Redis;
use tokio::time::{Instant, sleep};

use crate::http::purge_critical;
use crate::kept::Kept;
use crate::log::Way;
use crate::measure::{Interleaved, Latencies};
use crate::ours::Ours;
use crate::terms::Terms;
use crate::usage::resident;
use filled::Filled;

/// Critical purges a second.
const CRITICAL: u64 = 50;
/// Length of a part of a round.
const EACH: Duration = Duration::from_secs(10);
/// Parts of a round: alone, beside a replay, alone.
const PARTS: u32 = 3;
/// Length of the first one, which does not count.
const WARM_UP: Duration = Duration::from_millis(300);
/// The rate of the whole replay: the most that may be asked for.
const RATE_MAX: u32 = 10_000;
/// Pages that are in the cache again before the whole replay.
const RESTORED: u64 = 1_000;
/// How often the whole replay is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Slower than this a whole replay is given up.
const PER_SECOND_MIN: u64 = 50;

/// Rate, memory and company of a replay.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Where the log lies: `serve`, or publisher and agent apart
    #[arg(long, default_value = "embedded")]
    broker: Way,
    /// Invalidations on the log
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    count: u64,
    /// Rounds, each alone, beside a replay and alone again
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// At most so many a second are replayed in the rounds; what `purgebus replay` does where none is named
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: Option<u32>,
}

impl Replay {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let redis = Redis::start().await;
        let caches = Settings::default().redis(redis.address(), PAGES, "rebounds = []");
        let log = self.broker.start().await;
        let ours = Ours::start(log.as_ref(), caches).await;
        let idle = resident(ours.publisher())?;
        let filled = Filled::fill(ours.api(), self.count).await?;
        let each = terms.each(self.rounds * PARTS, EACH);
        critical(&ours, terms.pause(WARM_UP)).await?;
        let (mut latencies, mut rate) = (Interleaved::default(), 0);
        for _ in 0..self.rounds {
            latencies.before.push(critical(&ours, each).await?);
            let replay = filled.begin(self.rate).await?;
            rate = replay.rate;
            latencies.disturbed.push(critical(&ours, each).await?);
            filled.cancel(&replay).await?;
            latencies.after.push(critical(&ours, each).await?);
        }
        let mut kept = Kept::begin(&redis).await;
        for page in (0..filled.count).step_by(usize::try_from(filled.count / RESTORED)?) {
            kept.store(page).await?;
        }
        let whole = Self::whole(&filled, ours.publisher()).await?;
        let left = kept.left().await?;
        let mut document = latencies.document()?;
        document["scenario"] = json!("replay");
        document["broker"] = json!(self.broker.name());
        document["rate"] = json!(rate);
        document["whole"] = whole;
        document["whole"]["idle_bytes"] = json!(idle);
        document["lost"] = json!(left);
        document["stale_after_final"] = json!(left);
        document["notes"] = json!([
            "ours: from when a critical request was meant to leave until its answer with wait=applied, beside a replay at `rate`; baseline: the same without one, before and after each",
            "difference_ms: of the medians of the rounds' percentiles; control_noise_ms: how far alone-before and alone-after of a round differ, in the middle and at most",
            "whole: all that the log held, replayed at 10,000 a second at most; memory of the process of the publisher, which on an embedded log is the agent's too",
            "lost, stale_after_final: of 1,000 pages that were in Redis again before the whole replay, those that still are after it; there are no later passes. A replay that does not find everything fails the run",
        ]);
        Ok(document)
    }

    /// Replays all of it, as fast as may be asked for: what that took.
    async fn whole(filled: &Filled<'_>, publisher: u32) -> anyhow::Result<Value> {
        let before = resident(publisher)?;
        let (began, mut peak) = (Instant::now(), before);
        let patience = Duration::from_mins(1) + Duration::from_secs(filled.count / PER_SECOND_MIN);
        let mut replay = filled.begin(Some(RATE_MAX)).await?;
        while Filled::is_running(&replay) {
            ensure!(began.elapsed() < patience, "it does not end: {replay:?}");
            sleep(LOOK_EVERY).await;
            peak = peak.max(resident(publisher)?);
            replay = filled.now(&replay).await?;
        }
        let milliseconds = u64::try_from(began.elapsed().as_millis())?.max(1);
        ensure!(replay.error.is_none(), "it failed: {replay:?}");
        filled.caught_up().await?;
        ensure!(replay.counts.matched == filled.count, "it found another number: {replay:?}");
        Ok(json!({
            "published": replay.published,
            "milliseconds": milliseconds,
            "per_second": replay.published * 1_000 / milliseconds,
            "before_bytes": before,
            "peak_bytes": peak,
            "above_before_bytes": peak - before,
        }))
    }
}

/// Critical ones for that long, at their times.
async fn critical(ours: &Ours, time: Duration) -> anyhow::Result<Latencies> {
    let path = |_| format!("/critical/{}", fastrand::u64(..));
    let sent = purge_critical(ours.api().address(), CRITICAL, time, path).await?;
    Latencies::of(sent.iter().map(|sent| sent.latency))
}
