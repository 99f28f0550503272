//! `purgebus regions`: how each region does.

use clap::Args;
use schemas::api::RegionSummary;

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;

/// Shows every region: its agents and caches, how far behind, how fast
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus regions
  purgebus regions --json | jq '.items[] | select(.ready | not).region'")]
pub(crate) struct Regions {
    #[command(flatten)]
    asking: Asking,
}

impl Regions {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.asking.list("/v1/regions", show).await
    }
}

/// A table of regions.
pub(super) fn show(regions: &[RegionSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "REGION",
        "READY",
        "AGENTS",
        "CACHES",
        "BEHIND",
        "APPLIED p50",
        "p99",
        "MAX",
        "COUNT (15 min)",
    ]);
    for region in regions {
        let applied = region.applied.fifteen_minutes;
        table.add_row([
            region.region.to_string().into(),
            output::mark(if region.ready { "yes" } else { "no" }, region.ready),
            region.agents.into(),
            region.caches.into(),
            behind(region.lag_numbers, Some(region.lag_seconds)).into(),
            output::milliseconds(applied.p50_ms).into(),
            output::milliseconds(applied.p99_ms).into(),
            output::milliseconds(applied.max_ms).into(),
            applied.count.into(),
        ]);
    }
    output::show(&table)
}

/// How many are not settled and how old the oldest of them is.
pub(super) fn behind(numbers: u64, seconds: Option<f64>) -> String {
    match (numbers, seconds) {
        (0, _) => "-".to_owned(),
        (numbers, None) => numbers.to_string(),
        (numbers, Some(seconds)) => {
            format!("{numbers} ({})", output::milliseconds(seconds * 1_000.0))
        }
    }
}
