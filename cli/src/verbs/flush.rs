//! `purgebus flush`: empties caches now.

use std::time::Duration;

use clap::Args;
use schemas::Mode;
use schemas::api::{FlushOrdered, FlushRequest};
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

/// Longest wait for the order to stand on the board.
const ORDER_WAIT: Duration = Duration::from_secs(20);

/// Empties caches of a region now, as a human's order
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus flush --region eu-west
  purgebus flush --region eu-west --cache varnish
  purgebus flush --region eu-west --soft     # stale objects are served while they are refreshed

Every agent of the region flushes at once, the inner cache before the outer one; one that is away flushes when it is
back within 24 h. The origin carries the load. A hard flush makes up for what was lost, and ends what on_gap = \"hold\"
waits for; a soft one does not.")]
pub(crate) struct Flush {
    /// Where
    #[arg(long)]
    region: String,
    /// Which cache of each agent, and those that come after it; every cache if left out
    #[arg(long)]
    cache: Option<String>,
    /// Mark stale instead of removing, where the cache can
    #[arg(long)]
    soft: bool,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Flush {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        let mode = if self.soft { Mode::Soft } else { Mode::Hard };
        let request = FlushRequest { region: self.region, cache: self.cache, mode };
        let key = Uuid::new_v4().to_string();
        let deadline = Instant::now() + ORDER_WAIT;
        let answer = client.post("/v1/flushes", &request, &key, deadline).await?;
        if self.json {
            output::json(&answer)?;
        } else {
            show(&understand(answer)?)?;
        }
        Ok(Exit::Done)
    }
}

fn show(ordered: &FlushOrdered) -> Result<(), Failure> {
    let FlushOrdered { id, region, expires_at, .. } = ordered;
    output::line(format!("{id}: flush in {region}, for whoever is back by {expires_at:.0}"))?;
    let mut table = output::table(["AGENT", "CACHE", "AGENT IS"]);
    for cache in &ordered.caches {
        let state = cache.state.as_str().to_owned();
        table.add_row([cache.agent.to_string(), cache.cache.to_string(), state]);
    }
    output::show(&table)
}
