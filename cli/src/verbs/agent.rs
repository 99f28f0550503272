//! `purgebus agent`: hears the log on a broker and purges the caches of its region.

use clap::Args;

use crate::config::Role;
use crate::exit::{Exit, Failure};

use super::process::Process;

/// Runs an agent alone, which meets its publishers on NATS or Kafka
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus check -c agent.toml --connect && purgebus agent -c agent.toml
  PURGEBUS__AGENT__REGION=us-east purgebus agent -c agent.toml

Reads [broker], [agent], [[agent.cache]] and [[site]]; [broker] has kind = \"nats\" or \"kafka\". It starts
while the broker is down, and /health/ready on its admin port says so. SIGINT and SIGTERM stop it within
its grace, a second one at once; a restart goes on where it was. SIGHUP
puts caches and log level in force as they are in the file by then.")]
pub(crate) struct Agent {
    #[command(flatten)]
    process: Process,
}

impl Agent {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.process.run(Role::Agent).await
    }
}
