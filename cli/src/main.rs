//! The `purgebus` binary: it reads the command line, does what it says, and ends with a code that scripts can act on.

mod client;
mod config;
mod connection;
mod demo;
mod exit;
mod installation;
mod keys;
mod output;
mod secret;
mod trials;
mod verbs;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use crate::exit::Failure;
use crate::verbs::Verb;

/// How long threads that block may take to end with the process.
const BLOCKED_WAIT: Duration = Duration::from_secs(1);

/// Tells every cache in every region that content has changed, and proves that they obeyed.
#[derive(Debug, Parser)]
#[command(name = "purgebus", version, after_help = exit::CODES)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::code(Err(Failure::failed(error))),
    };
    let ended = runtime.block_on(command.verb.run());
    runtime.shutdown_timeout(BLOCKED_WAIT);
    exit::code(ended)
}
