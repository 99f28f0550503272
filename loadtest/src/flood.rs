//! `flood`: critical purges while a flood of normal ones goes on, against critical ones alone, both in an open loop.

mod bench;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::log::Way;
use crate::measure::Interleaved;
use crate::terms::Terms;
use crate::usage::Cpu;
use bench::{Bench, Flooded};

/// Length of a part of a round.
const EACH: Duration = Duration::from_secs(3);
/// Parts of a round: alone, flooded, alone.
const PARTS: u32 = 3;
/// Length of the first one, which does not count.
const WARM_UP: Duration = Duration::from_millis(300);

/// Latency of critical purges under a flood of normal ones.
#[derive(Debug, Args)]
pub(crate) struct Flood {
    /// Where the log lies: `serve`, or publisher and agent apart
    #[arg(long, default_value = "embedded")]
    broker: Way,
    /// Rounds, each alone, flooded and alone again
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Critical invalidations a second, of one URL each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    critical: u64,
    /// Normal requests a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    requests: u64,
    /// URLs of each normal request
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    per_request: u64,
    /// Before a Varnish without our VCL, which takes a request for each page: that saturates an agent soonest
    #[arg(long)]
    plain: bool,
    /// Clients of the flood, each with one request under way
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=800))]
    clients: u16,
}

impl Flood {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let each = terms.each(self.rounds * PARTS, EACH);
        let mut bench = Bench::start(self).await?;
        bench.alone(terms.pause(WARM_UP)).await?;
        let (mut latencies, mut floods) = (Interleaved::default(), Flooded::default());
        let mut cpu = Vec::new();
        for _ in 0..self.rounds {
            latencies.before.push(bench.alone(each).await?);
            let before = Cpu::now()?;
            let (critical, flood) = bench.flooded(each).await?;
            cpu.push(Cpu::now()?.since(&before).microseconds_each(flood.invalidations()));
            latencies.disturbed.push(critical);
            floods.add(&flood);
            latencies.after.push(bench.alone(each).await?);
        }
        let mut document = latencies.document()?;
        let verdict = bench.verdict();
        document["ours"]["flood"] = floods.document(each * self.rounds);
        document["ours"]["cpu_us_each_by_process"] = json!(cpu.get(cpu.len() / 2));
        document["scenario"] = json!("flood");
        document["broker"] = json!(self.broker.name());
        document["plain_vcl"] = json!(self.plain);
        document["lost"] = json!(verdict.lost);
        document["stale_after_final"] = json!(verdict.stale);
        document["pages_checked"] = json!(verdict.checked);
        document["never_final"] = json!(verdict.unfinished);
        document["notes"] = json!([
            "ours: from when a critical request was meant to leave until its answer with wait=applied, while the flood goes on; baseline: the same alone, before and after each flood",
            "difference_ms: of the medians of the rounds' percentiles; control_noise_ms: how far alone-before and alone-after of a round differ, in the middle and at most",
            "flood: `behind` is how many normal invalidations were not applied when the flood ended: more than none says that the agent was saturated",
            "lost: pages that Varnish still served old after everything was final: each critical one, and one of each normal request, all of which were in the cache before; never_final: what the bus did not call final within three minutes",
            "stale_after_final: of those the ones of which the bus had said that it was final",
        ]);
        Ok(document)
    }
}
