//! What the reader is told while a folder is served: where, and how long each change took in each region.

use std::path::Path;

use schemas::api::{Progress, RegionProgress};
use serde_json::{Value, json};

use super::purge::Purge;
use crate::demo::region::Place;
use crate::exit::{Failure, tell};
use crate::output::{self, maybe_milliseconds};

/// How far a purge has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// Every cache has purged it.
    Applied,
    /// The last pass is done too.
    Final,
}

impl Reached {
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Final => "final",
        }
    }

    /// Milliseconds until the last cache of the region was there.
    fn took(self, region: &RegionProgress) -> Option<f64> {
        let caches = region.caches.iter().map(|cache| match self {
            Self::Applied => cache.settled_ms,
            Self::Final => cache.final_ms,
        });
        caches.reduce(|one, other| Some(one?.max(other?))).flatten()
    }
}

/// Tells the reader on stdout.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    /// In lines for people.
    Text,
    /// In JSON lines.
    Json,
}

impl News {
    /// Which addresses serve which folder.
    pub(super) fn serving(
        self,
        folder: &Path,
        files: usize,
        places: &[Place],
    ) -> Result<(), Failure> {
        let url = |place: &Place| format!("http://{}/", place.address);
        match self {
            Self::Json => {
                let place = |place: &Place| json!({ "region": place.region, "cache": place.cache, "url": url(place) });
                let caches = places.iter().map(place).collect::<Vec<_>>();
                let folder = folder.display().to_string();
                output::json(
                    &json!({ "event": "serving", "folder": folder, "files": files, "caches": caches }),
                )
            }
            Self::Text => {
                let mut table = output::table(["REGION", "CACHE", "ADDRESS"]);
                for place in places {
                    table.add_row([place.region.clone(), place.cache.clone(), url(place)]);
                }
                output::show(&table)?;
                output::line(format_args!(
                    "\nServing {files} files of {}. Change one and reload; end with Ctrl-C.",
                    folder.display()
                ))
            }
        }
    }

    /// How far a purge has come in each region.
    pub(super) fn reached(
        self,
        reached: Reached,
        purge: &Purge,
        progress: &Progress,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => output::json(&document(reached, purge, progress)),
            Self::Text => {
                let region = |region: &RegionProgress| {
                    format!("{} {}", region.region, maybe_milliseconds(reached.took(region)))
                };
                let regions = progress.regions.iter().map(region).collect::<Vec<_>>().join(", ");
                output::line(format_args!("{:<7}  {regions}  {purge}", reached.name()))
            }
        }
    }

    /// A purge that did not get there in time.
    pub(super) fn missing(purge: &Purge, progress: Option<&Progress>) {
        let missing = progress.map(|progress| &progress.missing);
        tell(format_args!("not final: {purge}; missing: {missing:?}"));
    }

    /// How it ended.
    pub(super) fn ended(self, purges: u64, finished: u64) -> Result<(), Failure> {
        match self {
            Self::Json => {
                output::json(&json!({ "event": "ended", "purges": purges, "final": finished }))
            }
            Self::Text => {
                output::line(format_args!("{purges} purges, {finished} final everywhere."))
            }
        }
    }
}

fn document(reached: Reached, purge: &Purge, progress: &Progress) -> Value {
    let (mut urls, mut prefixes) = (Vec::new(), Vec::new());
    match purge {
        Purge::Urls(paths) => urls.extend(paths),
        Purge::Below(path) => prefixes.push(path),
        Purge::Everything => {}
    }
    let regions = progress
        .regions
        .iter()
        .map(|region| json!({ "region": region.region, "ms": reached.took(region) }));
    json!({
        "event": reached.name(),
        "id": progress.facts.id,
        "urls": urls,
        "prefixes": prefixes,
        "everything": *purge == Purge::Everything,
        "regions": regions.collect::<Vec<_>>(),
    })
}
