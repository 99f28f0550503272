//! `outage`: what an agent process pays for a cache that is down for long, and what its other cache notices of it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tests::serve::{PAGES, Settings};
use tests::servers::free_port;
use tests::servers::redis::Redis;
use tokio::time::{Instant, sleep, sleep_until};

use crate::kept::key;
use crate::log::Kind;
use crate::measure::{Latencies, ratio};
use crate::terms::Terms;
use crate::watched::Watched;

/// Time between two numbers whose way to the other cache is measured.
const EVERY: Duration = Duration::from_millis(20);
/// Other numbers between two of those: 1,000 a second in all.
const BETWEEN: u64 = 19;
/// Samples of each part of the run.
const SAMPLES: u32 = 500;
/// How often the other cache is asked.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Parts in which the backlog comes; the cost is read after each.
const PARTS: u64 = 4;
/// So many come at once: fewer than the log keeps, for the healthy cache.
const PORTION: u64 = 500_000;
/// Invalidations in each frame of the backlog.
const FRAMED: u64 = 100;

/// Cost of an outage.
#[derive(Debug, Args)]
pub(crate) struct Outage {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// Invalidations that come while the cache is down; a day at 1,000 a second is 86,400,000
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    count: u64,
}

impl Outage {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let (redis, keys) = (Redis::start().await, "rebounds = []");
        let (mut connection, samples) = (redis.connect().await, terms.count(EVERY * 2, SAMPLES));
        let alone = Settings::default().redis(redis.address(), PAGES, keys);
        let mut control = Watched::start(self.broker, alone, terms).await?;
        let undisturbed = latencies(&mut control, &mut connection, samples).await?;
        drop(control);

        // Nobody listens there.
        let down = ([127, 0, 0, 1], free_port()).into();
        let both = Settings::default().redis(redis.address(), PAGES, keys).varnish(down, "");
        let mut agent = Watched::start(self.broker, both, terms).await?;
        let mut costs = vec![cost(&agent, 0).await?];
        for part in 1..=PARTS {
            let mut left = self.count / PARTS;
            while left > 0 {
                let portion = left.min(PORTION);
                agent.publish(portion, FRAMED).await?;
                agent.caught_up(&["cache=\"redis\""]).await?;
                left -= portion;
            }
            costs.push(cost(&agent, part * (self.count / PARTS)).await?);
        }
        let beside = latencies(&mut agent, &mut connection, samples).await?;
        let settled = agent.admin().count("purgebus_settled_total", &["cache=\"varnish\""]).await;
        ensure!(settled == 0, "the cache was not down");
        let (ours, control) = (beside.percentiles(), undisturbed.percentiles());
        Ok(json!({
            "scenario": "outage",
            "broker": self.broker.name(),
            "ours": ours,
            "costs": costs,
            "baseline": control,
            "ratio": ratio(ours.p50_us, control.p50_us),
            "ratio_p99": ratio(ours.p99_us, control.p99_us),
            "lost": 0,
            "stale_after_final": 0,
            "notes": [
                "ours: from the log to the healthy cache of an agent whose other cache owes the whole backlog, at 1,000 a second",
                "baseline: the same of an agent that has the healthy cache alone",
                "lost, stale_after_final: every sample was in Redis before and was seen to leave it, or the run had failed",
                "costs: memory and state folder of the agent as the backlog grows; nothing of it was purged of the cache that is down",
            ],
        }))
    }
}

/// What the agent pays while so many wait for the cache that is down.
async fn cost(agent: &Watched, backlog: u64) -> anyhow::Result<Value> {
    let unsettled = agent.admin().count("purgebus_unsettled", &["cache=\"varnish\""]).await;
    Ok(json!({
        "backlog": backlog,
        "resident_bytes": agent.resident()?,
        "state_bytes": agent.state_bytes()?,
        "unsettled_in_memory": unsettled,
    }))
}

/// From when a number was to be published until Redis lacks what it names, at 1,000 numbers a second.
async fn latencies(
    agent: &mut Watched,
    redis: &mut MultiplexedConnection,
    samples: u32,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut next = Instant::now();
    for sample in 0..samples {
        agent.publish(BETWEEN, 1).await?;
        let key = key(agent.last + 1);
        redis.set::<_, _, ()>(&key, "page").await.context("Redis takes a page")?;
        next = (next + EVERY).max(Instant::now());
        sleep_until(next).await;
        agent.publish(1, 1).await?;
        while redis.exists(&key).await? {
            ensure!(next.elapsed() < PATIENCE, "{key} is not purged");
            sleep(LOOK_EVERY).await;
        }
        latencies.record_if(sample > samples / 10, next.elapsed());
    }
    Ok(latencies)
}
