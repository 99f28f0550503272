//! Caches that are down, deaf or missing: retried, named, and never counted.

use std::time::Duration;

use schemas::CircuitState;
use schemas::api::{CacheSummary, ProgressState};
use serde_json::json;
use tests::eventually;
use tests::serve::Serve;
use tests::serve::{DATA, PAGES, Settings};
use tests::servers::origin::{Origin, Page};
use tests::servers::varnish::Varnish;

use crate::house::{House, REBOUNDS, tag, url};

async fn lane(house: &House, cache: &str) -> CacheSummary {
    let lanes = house.api().lanes(cache).await;
    lanes.into_iter().find(|lane| lane.priority == schemas::Priority::Normal).unwrap()
}

#[tokio::test]
async fn a_varnish_that_is_down_is_missing_until_it_is_back_and_purged() {
    let mut house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    house.caches.varnish.stop().await;
    let progress = house.api().publish_in_vain("applied", "2s", &tag("a")).await;

    assert_eq!(progress.state, ProgressState::Published);
    assert_eq!((progress.applied_ms, progress.final_ms), (None, None));
    let [missing] = &progress.missing[..] else { panic!("{progress:#?}") };
    assert_eq!((missing.region.as_str(), missing.agent.as_str()), ("local", "edge-1"));
    assert_eq!(missing.cache.as_str(), "varnish");
    let outcomes: Vec<_> =
        progress.regions[0].caches.iter().map(|cache| cache.outcome.is_some()).collect();
    assert_eq!(outcomes, [true, false], "Redis is purged, Varnish is not");

    eventually("the circuit opens", async || {
        lane(&house, "varnish").await.circuit == CircuitState::Open
    })
    .await;
    let varnish = lane(&house, "varnish").await;
    assert!(varnish.last_error.is_some() && varnish.lag_numbers == 1, "{varnish:#?}");
    assert!(varnish.oldest_unsettled_seconds.unwrap() > 1.0);
    assert_eq!(lane(&house, "redis").await.circuit, CircuitState::Closed);
    assert!(house.api().count("purgebus_circuit_open", &["cache=\"varnish\""]).await > 0);
    let reason = &house.api().status(progress.facts.id).await.missing[0].reason;
    assert!(reason.starts_with("circuit open"), "{reason}");

    house.caches.varnish.restart().await;
    eventually("applied", async || {
        house.api().status(progress.facts.id).await.state == ProgressState::Final
    })
    .await;
    assert!(house.api().status(progress.facts.id).await.missing.is_empty());
    assert!(house.api().count("purgebus_retries_total", &["cache=\"varnish\""]).await > 0);
    let varnish = lane(&house, "varnish").await;
    assert_eq!((varnish.circuit, varnish.lag_numbers), (CircuitState::Closed, 0));
    assert_eq!(varnish.last_error, None);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_loses_no_purge_and_does_not_hold_up_varnish() {
    let mut house = House::start().await;
    house.caches.redis.stop().await;
    house.cached("/a", &[]).await;
    house.change("/a", Page::default());
    let progress = house.api().publish_in_vain("applied", "3s", &url("/a")).await;
    assert_eq!(progress.missing[0].cache.as_str(), "redis");
    assert_eq!(house.caches.version("/a").await, 2, "Varnish was purged all the same");
    house.caches.redis.restart().await;
    eventually("final", async || {
        house.api().status(progress.facts.id).await.state == ProgressState::Final
    })
    .await;
}

#[tokio::test]
async fn nothing_counts_as_applied_where_varnish_passes_purges_to_the_origin() {
    let origin = Origin::start().await;
    origin.answer_purges(reqwest::StatusCode::OK);
    let varnish = Varnish::start(origin.address(), "").await;
    let settings = Settings::default().varnish(varnish.address(), REBOUNDS);
    let serve = Serve::start(settings).await;
    let said = "your VCL passes PURGE to the origin";
    eventually("it is said", async || {
        let lanes = serve.api().lanes("varnish").await;
        let told =
            |lane: &CacheSummary| lane.last_error.as_deref().unwrap_or_default().starts_with(said);
        !lanes.is_empty() && lanes.iter().all(told)
    })
    .await;
    let progress = serve.api().publish_in_vain("applied", "3s", &url("/a")).await;
    assert_eq!((progress.state, progress.applied_ms), (ProgressState::Published, None));
    assert!(progress.missing[0].reason.contains(said), "{progress:#?}");
    let lines_to_add = "include \"purgebus.vcl\"";
    assert!(progress.missing[0].reason.contains(lines_to_add), "{progress:#?}");
    assert!(!serve.api().is_ready().await);
    assert_eq!(serve.api().regions().await[0].applied.since_start.count, 0);
}

#[tokio::test]
async fn a_region_without_agents_is_named_and_never_applied() {
    let house =
        House::with(|caches| caches.settings(PAGES, REBOUNDS).regions(&["local", "ap-south"]))
            .await;
    let progress = house.api().publish_until("applied", &url("/a")).await;
    let states: Vec<_> =
        progress.regions.iter().map(|region| (region.region.as_str(), region.state)).collect();
    let here = progress.state;
    assert_eq!(states, [("ap-south", ProgressState::NoAgents), ("local", here)]);

    let there = json!({"urls": ["https://www.example.com/a"], "regions": ["ap-south"]});
    let progress = house.api().publish_in_vain("applied", "1s", &there).await;
    assert_eq!((progress.state, progress.applied_ms), (ProgressState::NoAgents, None));
    assert_eq!(progress.regions[0].caches, []);
}

#[tokio::test]
async fn what_a_cache_cannot_purge_blocks_and_says_so_and_the_others_are_purged() {
    let house = House::start().await;
    house.cached("/blog/a", &[]).await;
    house.change("/blog/a", Page::default());
    let request = json!({"prefixes": ["https://www.example.com/blog"]});
    let progress = house.api().publish_until("applied", &request).await;
    assert_eq!(progress.state, ProgressState::Blocked);
    eventually("Varnish is purged", async || house.caches.version("/blog/a").await == 2).await;
    eventually("Varnish is final", async || {
        house.api().status(progress.facts.id).await.regions[0].caches[1].final_ms.is_some()
    })
    .await;
    let progress = house.api().status(progress.facts.id).await;
    assert_eq!(progress.state, ProgressState::Blocked);
    let [missing] = &progress.missing[..] else { panic!("{progress:#?}") };
    assert_eq!((missing.cache.as_str(), &*missing.reason), ("redis", "unsupported: prefix"));
}

#[tokio::test]
async fn a_varnish_that_hangs_holds_up_neither_redis_nor_the_api() {
    let house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    house.caches.way_to_varnish.hold_answers();
    let progress = house.api().publish_in_vain("applied", "1s", &tag("a")).await;
    let settled = progress.regions[0].caches[0].settled_ms.unwrap();
    assert!(settled < 1_000.0, "Redis took {settled} ms");
    let critical = json!({"site": "main", "keys": ["k"], "priority": "critical"});
    let asked = tokio::time::Instant::now();
    house.api().publish(&critical).await;
    assert!(asked.elapsed() < Duration::from_secs(1));
    house.caches.way_to_varnish.pass_answers();
    eventually("applied", async || {
        house.api().status(progress.facts.id).await.state == ProgressState::Final
    })
    .await;
}
