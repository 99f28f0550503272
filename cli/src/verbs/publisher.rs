//! `purgebus publisher`: accepts invalidations and forwards them to the log on a broker.

use clap::Args;

use crate::config::Role;
use crate::exit::{Exit, Failure};

use super::process::Process;

/// Runs a publisher alone, which meets its agents on NATS or Kafka
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus check -c publisher.toml --connect && purgebus publisher -c publisher.toml
  PURGEBUS__BROKER__PASSWORD=$SECRET purgebus publisher -c publisher.toml

Reads [broker], [publisher] and [[site]]; [broker] has kind = \"nats\" or \"kafka\". It starts and accepts
while the broker is down: answers then say durable = journal, and what they accepted is forwarded later.
SIGINT and SIGTERM stop it within its grace, a second one at once; a restart goes on where it was. SIGHUP
puts tokens and log level in force as they are in the file by then.")]
pub(crate) struct Publisher {
    #[command(flatten)]
    process: Process,
}

impl Publisher {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.process.run(Role::Publisher).await
    }
}
