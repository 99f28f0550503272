//! `purgebus serve`: publisher and agent in one process.

use clap::Args;

use crate::config::Role;
use crate::exit::{Exit, Failure};

use super::process::Process;

/// Runs publisher and agent in one process: the small installation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus check -c purgebus.toml && purgebus serve -c purgebus.toml
  PURGEBUS_LOG=debug purgebus serve -c purgebus.toml
  PURGEBUS__AGENT__REGION=eu-west purgebus serve -c purgebus.toml

The log is embedded, in the same database as the journal, unless [broker] names another. Every mistake of
the configuration is told before any port is bound. Prints a line for each port when it listens. SIGINT
and SIGTERM stop it within its grace, a second one at once; a restart goes on where it was. SIGHUP
puts tokens, caches and log level in force as they are in the file by then.")]
pub(crate) struct Serve {
    #[command(flatten)]
    process: Process,
}

impl Serve {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.process.run(Role::Serve).await
    }
}
