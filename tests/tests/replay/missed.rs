//! What a region has missed that was killed, and what of it the log still holds.

use daemon::Clock;
use tests::bus::{Bus, QUICK, Wire};
use tests::eventually;
use tests::serve::{DATA, Settings};
use tests::servers::nats::Nats;
use tests::servers::redis::Redis;

use crate::command::{held, publish, replay, restore};

/// So long the log holds what it takes.
const RETENTION: &str = "retention = \"20s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_region_misses_is_told_until_it_is_back_even_overtaken_by_retention() {
    let nats = Nats::start().await;
    let (europe, america) = (Redis::start().await, Redis::start().await);
    let mut bus = Bus::on(Wire::nats([nats.url()]).with(RETENTION));
    bus.start_publisher("publisher-1", "").await;
    for (agent, region, redis) in [("edge-1", "eu-west", &europe), ("edge-2", "us-east", &america)]
    {
        let settings = Settings::default().redis(redis.address(), DATA, QUICK);
        bus.start_agent(agent, region, settings).await;
    }
    bus.registered().await;
    let api = bus.publishers[0].api().clone();
    let begun = Clock::system().now().to_string();
    publish(&api, 0..3, true).await;
    let missed_by = async |region: &str, since: &str| {
        replay(&api, &["--since", since, "--missed-by", region, "--dry-run"]).await
    };
    assert_eq!(missed_by("eu-west", &begun).await.matched(), 0, "a match of nothing is no failure");

    bus.agents[0].kill();
    restore(&europe, 3..10).await;
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

    bus.agents[0].restart().await;
    bus.agents[0].ready().await;
    eventually("nothing stale is left", async || held(&europe).await == 0).await;
    eventually("it owes nothing any more", async || {
        let told = missed_by("eu-west", "10s").await;
        told.code == Some(0) && told.matched() == 0
    })
    .await;
}
