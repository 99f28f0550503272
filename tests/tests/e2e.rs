//! The real `purgebus serve` over HTTP, with a real Varnish and a real Redis.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/changes.rs"]
mod changes;
#[path = "e2e/dead_letters.rs"]
mod dead_letters;
#[path = "e2e/flushes.rs"]
mod flushes;
#[path = "e2e/freshness.rs"]
mod freshness;
#[path = "e2e/hostile_log.rs"]
mod hostile_log;
#[path = "e2e/house.rs"]
mod house;
#[path = "e2e/instances.rs"]
mod instances;
#[path = "e2e/promises.rs"]
mod promises;
#[path = "e2e/purges.rs"]
mod purges;
#[path = "e2e/restarts.rs"]
mod restarts;
#[path = "e2e/restored.rs"]
mod restored;
#[path = "e2e/three_tiers.rs"]
mod three_tiers;
#[path = "e2e/troubles.rs"]
mod troubles;
