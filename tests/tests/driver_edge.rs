//! The edge: its driver on the suite, its manners as a cache, and the race that it shares with real ones.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "driver_edge/answers.rs"]
mod answers;
#[path = "driver_edge/bounds.rs"]
mod bounds;
#[path = "driver_edge/caching.rs"]
mod caching;
#[path = "driver_edge/race.rs"]
mod race;
#[path = "driver_edge/specimen.rs"]
mod specimen;
#[path = "driver_edge/world.rs"]
mod world;

use agent::driver::conformance;

use self::specimen::EdgeSpecimen;

#[tokio::test]
async fn it_passes_the_suite() {
    conformance::run(&mut EdgeSpecimen::start().await).await;
}
