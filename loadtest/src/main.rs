//! Load with a baseline in the same run; prints, last, one JSON document.

mod audit;
mod backlog;
mod caches;
mod child;
mod hop;
mod http;
mod idle;
mod lane;
mod log;
mod measure;
mod memory;
mod noop;
mod outage;
mod passes;
mod publish;
mod raw;
mod record;
mod replay;
mod usage;
mod verify;
mod watched;

use clap::{Parser, Subcommand};

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
  cargo run --release -p loadtest -- varnish
  cargo run --release -p loadtest -- keys --batch 500
  cargo run --release -p loadtest -- redis
  cargo run --release -p loadtest -- passes --broker nats
  cargo run --release -p loadtest -- outage --broker nats --count 86400000
  cargo run --release -p loadtest -- backlog --count 1000000
  cargo run --release -p loadtest -- verify")]
struct Command {
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
    /// From the log to a cache that does nothing, against the broker's own consumer, or a bare store
    Lane(lane::Lane),
    /// URLs through a lane into Varnish without our VCL, against raw PURGE requests
    Varnish(caches::Options),
    /// Tags through a lane into Varnish with our VCL, against raw PURGE requests of as many keys
    Keys(caches::Options),
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
    /// Signed messages through the check and the decoder of an agent, against the decoder alone
    Verify(verify::Verify),
    /// What other scenarios measure in a process of its own
    #[command(hide = true)]
    Serving(child::Serving),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let document = match Command::parse().scenario {
        Scenario::Idle(idle) => idle.run().await?,
        Scenario::Hop(hop) => hop.run().await?,
        Scenario::Publish(publish) => publish.run().await?,
        Scenario::Lane(lane) => lane.run().await?,
        Scenario::Varnish(options) => caches::run(caches::Kind::Urls, &options).await?,
        Scenario::Keys(options) => caches::run(caches::Kind::Tags, &options).await?,
        Scenario::Redis(options) => caches::run(caches::Kind::Keys, &options).await?,
        Scenario::Memory(memory) => memory.run().await?,
        Scenario::Passes(passes) => passes.run().await?,
        Scenario::Outage(outage) => outage.run().await?,
        Scenario::Backlog(backlog) => backlog.run().await?,
        Scenario::Verify(verify) => verify.run().await?,
        Scenario::Serving(serving) => return serving.run().await,
    };
    println!("{document}");
    Ok(())
}
