//! The whole bus under paused time, judged by the oracle.

#[path = "world/cannot.rs"]
mod cannot;
#[path = "world/crashes.rs"]
mod crashes;
#[path = "world/forwarding.rs"]
mod forwarding;
#[path = "world/freshness.rs"]
mod freshness;
#[path = "world/logs.rs"]
mod logs;
#[path = "world/misbehaviour.rs"]
mod misbehaviour;
#[path = "world/regions.rs"]
mod regions;

use std::ops::Range;
use std::time::Duration;

use schemas::Outcome;
use schemas::api::{CacheProgress, Progress, ProgressState, RegionProgress};
use tests::world::{Plan, World};

const SECOND: Duration = Duration::from_secs(1);

/// As many seeds from `first` on; `WORLD_SEEDS=N` takes N times as many, for a soak.
fn seeds(first: u64, count: u64) -> Range<u64> {
    let times = std::env::var("WORLD_SEEDS").ok().and_then(|times| times.parse().ok());
    first..first + count * times.unwrap_or(1)
}

/// Two regions, one of them with two agents; every cache is in front of the origin.
fn two_regions(seed: u64) -> Plan {
    let plan = World::seeded(seed).region("eu", |region| region.edge("e1").edge("e2"));
    plan.region("us", |region| region.edge("u1"))
}

/// One agent with a cache in front of another.
fn chained(seed: u64) -> Plan {
    World::seeded(seed).region("eu", |region| {
        region.agent("e1", |agent| {
            let agent = agent.cache_with("redis", |cache| cache.passes(&[1]));
            agent.cache_after("web", "redis")
        })
    })
}

/// The one region of that name.
fn region<'a>(progress: &'a Progress, name: &str) -> &'a RegionProgress {
    let mut regions = progress.regions.iter();
    regions.find(|region| region.region.as_str() == name).expect("a region of that name")
}

/// How each cache ended, where it did.
fn outcomes(progress: &Progress) -> Vec<Option<Outcome>> {
    let caches = progress.regions.iter().flat_map(|region| &region.caches);
    caches.map(|CacheProgress { outcome, .. }| *outcome).collect()
}

/// Who is missing, why, in one line each.
fn missing(progress: &Progress) -> Vec<String> {
    let missing = progress.missing.iter();
    missing.map(|m| format!("{}/{}/{}: {}", m.region, m.agent, m.cache, m.reason)).collect()
}

/// Where each region is.
fn states(progress: &Progress) -> Vec<(&str, ProgressState)> {
    progress.regions.iter().map(|region| (region.region.as_str(), region.state)).collect()
}
