//! What a region has missed that was killed, and what of it the log still holds.

use daemon::Clock;
use tests::bus::Wire;
use tests::eventually;
use tests::servers::nats::Nats;

use crate::command::{held, publish, replay, restore};
use crate::two_regions::TwoRegions;

/// So long the log holds what it takes.
const RETENTION: &str = "retention = \"20s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_region_misses_is_told_until_it_is_back_even_overtaken_by_retention() {
    let nats = Nats::start().await;
    let mut regions = TwoRegions::start(Wire::nats([nats.url()]).with(RETENTION)).await;
    let api = regions.api();
    let begun = Clock::system().now().to_string();
    publish(&api, 0..3, true).await;
    let missed_by = async |region: &str, since: &str| {
        replay(&api, &["--since", since, "--missed-by", region, "--dry-run"]).await
    };
    assert_eq!(missed_by("eu-west", &begun).await.matched(), 0, "a match of nothing is no failure");

    regions.bus.agents[0].kill();
    restore(&regions.europe, 3..10).await;
    publish(&api, 3..7, false).await;
    eventually("us-east has all", async || missed_by("us-east", &begun).await.matched() == 0).await;
    assert_eq!(missed_by("eu-west", &begun).await.matched(), 4);

    eventually("retention overtakes it", async || {
        missed_by("eu-west", &begun).await.code == Some(4)
    })
    .await;
    let refused = missed_by("eu-west", &begun).await;
    assert!(refused.errors.contains("no longer holds"), "{refused:?}");
    let later = Clock::system().now().to_string();
    publish(&api, 7..10, false).await;
    assert_eq!(missed_by("eu-west", &later).await.matched(), 3, "what the log still holds");

    regions.bus.agents[0].restart().await;
    regions.bus.agents[0].ready().await;
    eventually("nothing stale is left", async || held(&regions.europe).await == 0).await;
    eventually("it owes nothing any more", async || {
        let told = missed_by("eu-west", "10s").await;
        told.code == Some(0) && told.matched() == 0
    })
    .await;
}
