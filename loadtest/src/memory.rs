//! `memory`: resident memory of an agent process, idle, while its cache is down, and while it catches up.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use broker_adapter::Topic;
use clap::Args;
use schemas::{LineId, Priority};
use serde_json::{Value, json};
use tests::bus::Bus;
use tests::eventually;
use tests::serve::Settings;
use tests::servers::origin::Origin;
use tests::servers::varnish::{Varnish, shipped_vcl};
use tokio::time::{Instant, sleep};

use crate::log::Kind;
use crate::record;
use crate::usage::resident;

/// Time to settle before memory is read.
const SETTLE: Duration = Duration::from_secs(5);
/// How often it is read.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it is watched while it catches up: longer than it takes to fill all that it may hold.
const CATCH_UP: Duration = Duration::from_secs(45);
/// What the documents allow, in bytes: idle, and above idle.
const ALLOWED: u64 = 64 << 20;

/// Memory of `agent`, idle and with a backlog.
#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// Records on the log that the agent's cache owes
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    count: u64,
}

impl Memory {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        let log = self.broker.start().await;
        let raw = log.raw().await?;
        let mut bus = Bus::on(log.wire());
        let broker = log.broker(bus.wire.prefix()).await?;
        let topic = Topic::log(Priority::Normal.as_str());
        let origin = Origin::start().await;
        let include = format!("include \"{}\";\n", fs::canonicalize(shipped_vcl())?.display());
        let mut varnish = Varnish::start(origin.address(), &include).await;
        let cache = Settings::default().varnish(varnish.address(), "");
        bus.start_agent("edge-1", "local", cache).await;
        let agent = &bus.agents[0];
        let settled = async || agent.admin().count("purgebus_settled_total", &[]).await;
        let (line, place) = (LineId::random(), log.place(bus.wire.prefix(), topic));
        // What comes before the lane has joined it does not owe.
        let mut last = 0;
        eventually("a number is settled", async || {
            last += 1;
            let next = record::frames(line, last, 1).skip(skipped(last - 1));
            raw.publish_all(&place, next).await.is_ok() && settled().await > 0
        })
        .await;
        sleep(SETTLE).await;
        let (before, all) = (settled().await, last + self.count);
        let idle = resident(agent.process())?;

        varnish.stop().await;
        let frames = record::frames(line, all, 1).skip(skipped(last));
        raw.publish_all(&place, frames.chain([record::heartbeat(line, all)])).await?;
        sleep(SETTLE).await;
        let backlog = resident(agent.process())?;
        let unsettled = agent.admin().count("purgebus_unsettled", &[]).await;
        let kept = broker.bounds(topic).await?;
        let kept: u64 = kept.values().map(|kept| kept.end.0 - kept.first.0).sum();
        ensure!(kept >= self.count, "the log holds {kept} records only");
        ensure!(unsettled > 0, "the agent has nothing to do");

        varnish.restart().await;
        let began = Instant::now();
        let mut peak = backlog;
        while began.elapsed() < CATCH_UP && settled().await < before + self.count {
            peak = peak.max(resident(agent.process())?);
            sleep(LOOK_EVERY).await;
        }
        Ok(json!({
            "scenario": "memory",
            "broker": self.broker.name(),
            "ours": {
                "idle_bytes": idle,
                "backlog_bytes": backlog,
                "above_idle_bytes": backlog.saturating_sub(idle),
                "catching_up_peak_bytes": peak,
                "catching_up_settled": settled().await - before,
                "unsettled_in_memory": unsettled,
            },
            "baseline": {"idle_bytes": ALLOWED, "above_idle_bytes": ALLOWED},
            "records": self.count,
            "lost": 0,
            "stale_after_final": 0,
            "notes": [
                "baseline: what is allowed",
                "idle: one Varnish, one number settled; backlog: Varnish is down and the log holds the records",
                "catching up: Varnish is back, for 45 s or until every number is settled; selectors that wait for a later pass are held",
            ],
        }))
    }
}

fn skipped(frames: u64) -> usize {
    usize::try_from(frames).unwrap_or(usize::MAX)
}
