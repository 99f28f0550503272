//! `memory`: resident memory of an agent process, idle, while its cache is down, and while it catches up.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tests::serve::Settings;
use tests::servers::origin::Origin;
use tests::servers::varnish::{Varnish, shipped_vcl};
use tokio::time::{Instant, sleep};

use crate::log::Kind;
use crate::measure::ratio;
use crate::terms::Terms;
use crate::watched::{SETTLE, Watched};

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
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let origin = Origin::start().await;
        let include = format!("include \"{}\";\n", fs::canonicalize(shipped_vcl())?.display());
        let mut varnish = Varnish::start(origin.address(), &include).await;
        let cache = Settings::default().varnish(varnish.address(), "");
        let mut agent = Watched::start(self.broker, cache, terms).await?;
        let (before, idle) = (agent.settled().await, agent.resident()?);

        varnish.stop().await;
        agent.publish(self.count, 1).await?;
        sleep(terms.pause(SETTLE)).await;
        let backlog = agent.resident()?;
        let unsettled = agent.admin().count("purgebus_unsettled", &[]).await;
        let kept = agent.kept().await?;
        ensure!(unsettled > 0, "the agent has nothing to do");

        varnish.restart().await;
        let began = Instant::now();
        let mut peak = backlog;
        while began.elapsed() < terms.time(CATCH_UP) && agent.settled().await < before + self.count
        {
            peak = peak.max(agent.resident()?);
            sleep(LOOK_EVERY).await;
        }
        let above_idle = backlog.saturating_sub(idle);
        Ok(json!({
            "scenario": "memory",
            "broker": self.broker.name(),
            "ours": {
                "idle_bytes": idle,
                "backlog_bytes": backlog,
                "above_idle_bytes": above_idle,
                "catching_up_peak_bytes": peak,
                "catching_up_settled": agent.settled().await - before,
                "unsettled_in_memory": unsettled,
            },
            "baseline": {"idle_bytes": ALLOWED, "above_idle_bytes": ALLOWED},
            "ratio": ratio(above_idle, ALLOWED),
            "records": self.count,
            "lost": self.count.saturating_sub(kept),
            "stale_after_final": 0,
            "notes": [
                "baseline: what is allowed; ratio: of what a backlog takes above idle",
                "lost: records that the broker does not hold; Varnish comes back empty: nothing in it can be old",
                "idle: one Varnish, one number settled; backlog: Varnish is down and the log holds the records",
                "catching up: Varnish is back, for 45 s or until every number is settled; selectors that wait for a later pass are held",
            ],
        }))
    }
}
