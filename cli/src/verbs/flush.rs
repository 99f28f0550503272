//! `purgebus flush`: empties caches now.

use clap::Args;
use schemas::Mode;
use schemas::api::{FlushOrdered, FlushRequest};

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::{self, Asking};

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
    #[command(flatten)]
    asking: Asking,
}

impl Flush {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let mode = if self.soft { Mode::Soft } else { Mode::Hard };
        let request = FlushRequest { region: self.region, cache: self.cache, mode };
        self.asking.order("/v1/flushes", &request, show).await
    }
}

fn show(ordered: &FlushOrdered) -> Result<(), Failure> {
    let FlushOrdered { id, region, expires_at, .. } = ordered;
    output::line(format!("{id}: flush in {region}, for whoever is back by {expires_at:.0}"))?;
    asking::ordered(&ordered.caches)
}
