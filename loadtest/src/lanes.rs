//! `lanes`: what each of many agents costs publisher, tracker and broker, while nothing comes, while single invalidations
//! come, and while they come in frames.

mod bench;

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::measure::ratio;
use crate::terms::Terms;
use bench::Bench;

/// Length of a part.
const EACH: Duration = Duration::from_secs(10);
/// Idle, single invalidations, frames.
const PARTS: u32 = 3;
/// Clients that send together, so that their invalidations share frames.
const AT_ONCE: usize = 64;

/// Cost of many lanes.
#[derive(Debug, Args)]
pub(crate) struct Lanes {
    /// How many agents with one cache each, one fleet after the other
    #[arg(long = "lanes", value_delimiter = ',', default_values_t = [10, 100, 1_000], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    fleets: Vec<u32>,
    /// Most agents in one process
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    together: u32,
    /// Single invalidations a second, the next one after the last answer
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    single: u64,
    /// Invalidations a second, 64 requests at once each time, which share frames
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    framed: u64,
}

impl Lanes {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let fleets = u32::try_from(self.fleets.len())?;
        let each = terms.each(fleets * PARTS, EACH);
        let (mut by_lanes, mut lost) = (Map::new(), 0);
        for lanes in &self.fleets {
            let mut bench = Bench::start(*lanes, self.together).await?;
            let start = bench.memory()?;
            let idle = bench.idle(each).await?;
            let single = bench.publish(self.single, 1, each).await?;
            let framed = bench.publish(self.framed, AT_ONCE, each).await?;
            let memory = bench.memory()?;
            lost += bench.end().await?;
            by_lanes.insert(
                lanes.to_string(),
                json!({
                    "idle": idle, "single": single, "framed": framed,
                    "memory_at_start": start, "memory": memory,
                }),
            );
        }
        let fewest = self.fleets.iter().min().context("no lanes")?.to_string();
        let most = self.fleets.iter().max().context("no lanes")?.to_string();
        let of = |lanes: &str| {
            let cost = &by_lanes[lanes]["framed"]["publisher_ns_each_and_lane"];
            cost.as_u64().context("a cost without a number")
        };
        let (dear, cheap) = (of(&most)?, of(&fewest)?);
        Ok(json!({
            "scenario": "lanes",
            "broker": "nats",
            "ours": by_lanes[&most],
            "baseline": by_lanes[&fewest],
            "ratio": ratio(dear, cheap),
            "by_lanes": by_lanes,
            "lost": lost,
            "stale_after_final": 0,
            "notes": [
                "ours: the most lanes, baseline: the fewest; ratio: CPU time of the publisher for each invalidation and lane, in frames; the tracker is part of the publisher",
                "agents run many in a process, each with a connection, a name and a state of its own, before a cache that does nothing but note what it is told; a lane is such a cache",
                "idle: nothing is published; single: one client, so that each frame holds one; framed: 64 clients, all at once each time; open loop, and everything counted until every agent has purged it",
                "messages: on the log meanwhile, as NATS numbers them, a heartbeat a second among them",
                "reports_per_second: messages on the board of reports, as NATS numbers them; CPU by the kernel's books, in steps of 10 ms",
                "lost: pages that a cache was not told to purge, as the caches themselves have noted; nothing is cached that could be stale",
            ],
        }))
    }
}
