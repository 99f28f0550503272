//! Load with a baseline in the same run; prints, last, one JSON document.

mod audit;
mod backlog;
mod beat;
mod caches;
mod catch_up;
mod child;
mod document;
mod edge;
mod flood;
mod hop;
mod http;
mod idle;
mod kept;
mod lane;
mod lanes;
mod log;
mod measure;
mod memory;
mod noop;
mod noted;
mod ours;
mod outage;
mod pages;
mod passes;
mod plot;
mod publish;
mod purge_all;
mod raw;
mod regions;
mod replay;
mod slow_neighbour;
mod soak;
mod terms;
mod usage;
mod verify;
mod watched;
mod world;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, Subcommand};
use daemon::{Stop, stop_on_signals};
use mimalloc::MiMalloc;
use serde_json::Value;
use tokio::time::interval;

use document::Document;
use terms::Terms;
use usage::Spent;

/// As `purgebus` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How often it is looked for processes, whose books the kernel keeps.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What whoever is interrupted answers.
const INTERRUPTED: i32 = 130;

/// What Purgebus costs next to the raw parts it is built on
#[derive(Debug, Parser)]
#[command(after_help = "\
Needs the purgebus binary of the same profile, varnishd with varnish-modules on PATH for caches, and Java and Maven for
Kafka. Everything runs on loopback, in temporary folders, and ends with the run.

Examples:
  cargo build --release --bin purgebus
  cargo run --release -p loadtest -- idle
  cargo run --release -p loadtest -- idle --broker nats
  cargo run --release -p loadtest -- publish --broker kafka
  cargo run --release -p loadtest -- publish --broker embedded --clients 16
  cargo run --release -p loadtest -- lane --broker nats --framed 100
  cargo run --release -p loadtest -- varnish-urls
  cargo run --release -p loadtest -- varnish-urls --layers 2
  cargo run --release -p loadtest -- varnish-keys --broker memory
  cargo run --release -p loadtest -- redis
  cargo run --release -p loadtest -- passes --broker nats
  cargo run --release -p loadtest -- outage --broker nats --count 86400000
  cargo run --release -p loadtest -- backlog --count 1000000
  cargo run --release -p loadtest -- flood --svg flood.svg
  cargo run --release -p loadtest -- flood --broker nats --seconds 60 --json
  cargo run --release -p loadtest -- catch-up --distinct 10
  cargo run --release -p loadtest -- slow-neighbour
  cargo run --release -p loadtest -- lanes --lanes 10,100,1000
  cargo run --release -p loadtest -- soak --seconds 3600
  cargo run --release -p loadtest -- replay --count 1000000
  cargo run --release -p loadtest -- world --svg world.svg
  cargo run --release -p loadtest -- world --cut-off 600
  cargo run --release -p loadtest -- verify

Exit: 0 all arrived, and nothing was stale after final; 1 not so, or the run failed; 130 interrupted.")]
struct Command {
    #[command(flatten)]
    terms: Terms,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Publish to applied with nothing else going on, against one fdatasync and one PURGE
    Idle(idle::Idle),
    /// Publish to read on an idle log, against the broker's own client
    Hop(hop::Hop),
    /// Many clients of the API, against the broker's own client that publishes single messages, or a bare store
    Publish(publish::Publish),
    /// Critical purges while a flood of normal ones goes on, against critical ones alone
    Flood(flood::Flood),
    /// A backlog with repetitions, against records that each name another page
    CatchUp(catch_up::CatchUp),
    /// One cache beside another that hangs, against beside one that answers
    SlowNeighbour(slow_neighbour::SlowNeighbour),
    /// Many agents on one publisher: its CPU time, theirs and the broker's, memory, and reports
    Lanes(lanes::Lanes),
    /// Mixed load for long with restarts: nothing lost, memory and disk as they were
    Soak(soak::Soak),
    /// From the log to a cache that does nothing, against the broker's own consumer, or a bare store
    Lane(lane::Lane),
    /// URLs from a broker into Varnish without our VCL, against raw PURGE requests; and with the agent killed meanwhile
    VarnishUrls(caches::OfVarnish),
    /// Tags from a broker into Varnish with our VCL, against raw PURGE requests of as many keys; and the same
    VarnishKeys(caches::OfVarnish),
    /// Keys through a lane into Redis, against raw UNLINK
    Redis(caches::Options),
    /// Memory of `agent`, idle and with a backlog on the log
    Memory(memory::Memory),
    /// Memory of `agent` while more waits for later passes than it holds
    Passes(passes::Passes),
    /// Memory and state of `agent` while a cache is down for long, and latency of the other one
    Outage(outage::Outage),
    /// Memory of `serve`, idle and with a backlog for a cache that is down
    Backlog(backlog::Backlog),
    /// A replay of all of a long log, its rate and memory; and critical purges beside one, against critical ones alone
    Replay(replay::Replay),
    /// Edges in five continents, against the bare way to each and a bare subscriber there
    World(world::World),
    /// Signed messages through the check and the decoder of an agent, against the decoder alone
    Verify(verify::Verify),
    /// What other scenarios measure in a process of its own
    #[command(hide = true)]
    Serving(child::Serving),
}

impl Scenario {
    async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        match self {
            Self::Idle(idle) => idle.run(terms).await,
            Self::Hop(hop) => hop.run(terms).await,
            Self::Publish(publish) => publish.run(terms).await,
            Self::Flood(flood) => flood.run(terms).await,
            Self::CatchUp(catch_up) => catch_up.run(terms).await,
            Self::SlowNeighbour(slow) => slow.run(terms).await,
            Self::Lanes(lanes) => lanes.run(terms).await,
            Self::Soak(soak) => soak.run(terms).await,
            Self::Lane(lane) => lane.run(terms).await,
            Self::VarnishUrls(of) => caches::of_varnish(caches::Kind::Urls, of, terms).await,
            Self::VarnishKeys(of) => caches::of_varnish(caches::Kind::Keys, of, terms).await,
            Self::Redis(options) => caches::of_redis(options, terms).await,
            Self::Memory(memory) => memory.run(terms).await,
            Self::Passes(passes) => passes.run(terms).await,
            Self::Outage(outage) => outage.run(terms).await,
            Self::Backlog(backlog) => backlog.run(terms).await,
            Self::Replay(replay) => replay.run(terms).await,
            Self::World(world) => world.run(terms).await,
            Self::Verify(verify) => verify.run(terms).await,
            Self::Serving(_) => bail!("this has no figures of its own"),
        }
    }

    /// Its figures, and what its processes had of memory and CPU time.
    async fn measure(&self, terms: &Terms) -> anyhow::Result<Document> {
        let (mut spent, mut looks) = (Spent::default(), interval(LOOK_EVERY));
        let mut running = pin!(self.run(terms));
        loop {
            tokio::select! {
                figures = &mut running => return Document::new(figures?, &spent),
                _ = looks.tick() => spent.look()?,
            }
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Command { terms, scenario } = Command::parse();
    if let Scenario::Serving(serving) = scenario {
        serving.run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Stop::new();
    let impatient = stop_on_signals(stop.clone())?;
    let document = tokio::select! {
        document = Box::pin(scenario.measure(&terms)) => document?,
        // By now all that it started is dead: what it held has been dropped.
        () = stop.requested() => std::process::exit(INTERRUPTED),
        _ = impatient => std::process::exit(INTERRUPTED),
    };
    if let Some(file) = &terms.svg {
        plot::draw(document.figures(), file)?;
    }
    if !terms.json {
        println!("{}", document.table());
    }
    println!("{}", document.figures());
    Ok(if document.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
