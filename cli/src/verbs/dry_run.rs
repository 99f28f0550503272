//! What a purge would do, for people to read.

use schemas::Region;
use schemas::api::DryRun;

use crate::exit::Failure;
use crate::output;

/// The canonical form of every selector, and what each cache would do with it.
pub(super) fn show(dry_run: &DryRun) -> Result<(), Failure> {
    let regions: Vec<_> = dry_run.regions.iter().map(Region::as_str).collect();
    output::line(format!("nothing published; of {} for {}:", dry_run.site, regions.join(", ")))?;
    let mut table = output::table(["SELECTOR", "REGION", "AGENT", "CACHE", "WOULD"]);
    for (at, selector) in dry_run.selectors.iter().enumerate() {
        if dry_run.caches.is_empty() {
            table.add_row([selector]);
        }
        for cache in &dry_run.caches {
            let would = cache.selectors.get(at).map_or("-", String::as_str);
            table.add_row([
                selector.as_str(),
                cache.region.as_str(),
                cache.agent.as_str(),
                cache.cache.as_str(),
                would,
            ]);
        }
    }
    output::show(&table)
}
