//! The command line: reads it, does what it says, and ends with a code that scripts can act on.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use crate::exit::{self, Failure};
use crate::verbs::Verb;

/// How long threads that block may take to end with the process.
const BLOCKED_WAIT: Duration = Duration::from_secs(1);

/// Tells every cache in every region that content has changed, and proves that they obeyed.
#[derive(Debug, Parser)]
#[command(name = "purgebus", version, after_help = exit::CODES)]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let command = Command::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::code(Err(Failure::failed(error))),
    };
    let ended = runtime.block_on(command.verb.run());
    runtime.shutdown_timeout(BLOCKED_WAIT);
    exit::code(ended)
}
