//! `purgebus caches`: how each cache does.

use clap::Args;
use comfy_table::Cell;
use schemas::CircuitState;
use schemas::api::CacheSummary;

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;
use super::regions::behind;

/// Shows every cache: its lanes, how far behind, its latest trouble
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus caches
  purgebus caches --json | jq '.items[] | select(.last_error).last_error'")]
pub(crate) struct Caches {
    #[command(flatten)]
    asking: Asking,
}

impl Caches {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.asking.list("/v1/caches", show).await
    }
}

/// A table of lanes.
pub(super) fn show(caches: &[CacheSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "REGION", "AGENT", "CACHE", "LANE", "DRIVER", "READY", "BEHIND", "CIRCUIT", "SETTLED",
        "TROUBLE",
    ]);
    for cache in caches {
        table.add_row([
            cache.region.to_string().into(),
            cache.agent.to_string().into(),
            cache.cache.to_string().into(),
            cache.priority.as_str().into(),
            cache.driver.clone().into(),
            output::mark(if cache.ready { "yes" } else { "no" }, cache.ready),
            behind(cache.lag_numbers, cache.oldest_unsettled_seconds).into(),
            circuit(cache.circuit),
            cache.outcomes.values().sum::<u64>().into(),
            Cell::new(trouble(cache)),
        ]);
    }
    output::show(&table)
}

fn circuit(state: CircuitState) -> Cell {
    match state {
        CircuitState::Closed => output::mark("closed", true),
        CircuitState::Open => output::mark("open", false),
    }
}

fn trouble(cache: &CacheSummary) -> String {
    let paused = cache.paused.iter().map(|pause| {
        let site = pause.site.as_ref().map(|site| format!("site {site} "));
        format!("{}paused until {:.0}", site.unwrap_or_default(), pause.until)
    });
    let told = cache.last_error.iter().chain(&cache.downgrades).cloned();
    paused.chain(told).collect::<Vec<_>>().join("; ")
}
