//! `purgebus demo`: the whole bus at work in one process.

use std::time::Duration;

use clap::Args;

use crate::demo::Demo as Show;
use crate::exit::{Exit, Failure};
use crate::output;

/// Shows the whole bus at work: an origin whose pages change, two regions of caching edges, publisher and agents
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no server and leaves nothing behind. Ends with 1 if an edge of the bus lost a purge or served an old
page after its purge was final.

LATE is an old page served before the purge was final, which no cache can avoid; STALE is one served after.
The edge `naive` is purged by hand, once per change, as most sites do it: a page that was being fetched
during the purge stays old there.

Examples:
  purgebus demo
  purgebus demo --seconds 60
  purgebus demo --json | jq .stale_after_final")]
pub(crate) struct Demo {
    /// How long pages change
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// One JSON document at the end
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let lasts = Duration::from_secs(self.seconds);
        let shown = async { Show::open().await?.run(lasts).await };
        let verdict = shown.await.map_err(Failure::failed)?;
        if self.json {
            output::json(&serde_json::to_value(&verdict).map_err(Failure::failed)?)?;
        } else {
            verdict.show()?;
        }
        Ok(if verdict.good() { Exit::Done } else { Exit::Failed })
    }
}
