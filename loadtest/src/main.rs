//! Open-loop load with a baseline in the same run; prints, last, one JSON document.

mod backlog;
mod idle;
mod measure;

use clap::{Parser, Subcommand};

/// What Purgebus costs next to the raw parts it is built on
#[derive(Debug, Parser)]
#[command(after_help = "\
Needs varnishd with varnish-modules on PATH, and the purgebus binary of the same profile. Everything runs on
loopback, in temporary folders, and ends with the run.

Examples:
  cargo build --release --bin purgebus
  cargo run --release -p loadtest -- idle
  cargo run --release -p loadtest -- backlog --count 1000000")]
struct Command {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Publish to applied with nothing else going on, against one fdatasync and one PURGE
    Idle(idle::Idle),
    /// Memory of `serve`, idle and with a backlog for a cache that is down
    Backlog(backlog::Backlog),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let document = match Command::parse().scenario {
        Scenario::Idle(idle) => idle.run().await?,
        Scenario::Backlog(backlog) => backlog.run().await?,
    };
    println!("{document}");
    Ok(())
}
