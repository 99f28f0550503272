//! What readers get: the race of a fetch in flight, which the fence wins at once and a later pass without it.

use std::time::Duration;

use purgebus::oracle::{Judgement, Oracle};
use schemas::api::{Clock, ProgressState};
use tests::eventually;
use tests::serve::PAGES;
use tests::servers::origin::Page;
use tokio::time::Instant;

use crate::house::{House, REBOUNDS, url};

/// What the fence lets nobody keep is not even served once.
#[tokio::test]
async fn what_the_fence_refuses_is_fresh_as_soon_as_it_is_applied() {
    race(House::start().await, Judgement::Fresh).await;
}

#[tokio::test]
async fn what_a_late_fetch_stores_again_is_gone_by_final() {
    let unfenced = House::with(|caches| caches.unfenced(PAGES, REBOUNDS)).await;
    race(unfenced, Judgement::Late).await;
}

/// An edit while a fetch is in flight: readers get `once_applied`, and nothing old after final.
async fn race(house: House, once_applied: Judgement) {
    let (mut oracle, began) = (Oracle::default(), Instant::now());
    let slow = Page { delay: Duration::from_millis(600), ..Page::default() };
    oracle.commit("/slow", began.elapsed());
    house.change("/slow", slow);

    let fetch = house.caches.version("/slow");
    let edit = async {
        eventually("the fetch is in flight", async || {
            house.origin.requests(&reqwest::Method::GET, "www.example.com/slow") == 1
        })
        .await;
        oracle.commit("/slow", began.elapsed());
        house.change("/slow", Page::default());
        house.api().publish_until("applied", &url("/slow")).await
    };
    let (fetched, applied) = tokio::join!(fetch, edit);
    assert_eq!(fetched, 1, "it began before the edit");
    assert_eq!(applied.state, ProgressState::Applied);

    let read_at = began.elapsed();
    let version = house.caches.version("/slow").await;
    assert_eq!(oracle.read("varnish", "/slow", version, read_at), once_applied);

    eventually("final", async || {
        house.api().status(applied.facts.id).await.state == ProgressState::Final
    })
    .await;
    oracle.finished("/slow", 2, began.elapsed());
    for _ in 0..10 {
        let read_at = began.elapsed();
        let version = house.caches.version("/slow").await;
        assert_eq!(oracle.read("varnish", "/slow", version, read_at), Judgement::Fresh);
    }
}

#[tokio::test]
async fn the_status_tells_when_each_cache_was_done_on_one_clock() {
    let house = House::start().await;
    let asked = Instant::now();
    let progress = house.api().publish_until("final", &url("/a")).await;
    let milliseconds = asked.elapsed().as_secs_f64() * 1_000.0;

    assert_eq!((progress.state, progress.clock), (ProgressState::Final, Clock::One));
    assert!(progress.missing.is_empty());
    let (applied, finished) = (progress.applied_ms.unwrap(), progress.final_ms.unwrap());
    assert!(
        0.0 < applied && applied < finished && 1_000.0 <= finished && finished <= milliseconds,
        "{progress:#?}"
    );
    assert!(progress.facts.published_at < progress.applied_at.unwrap());
    assert!(progress.applied_at < progress.final_at);

    let [region] = &progress.regions[..] else { panic!("{progress:#?}") };
    assert_eq!((region.region.as_str(), region.state), ("local", ProgressState::Final));
    assert_eq!(region.applied_ms, Some(applied));
    let caches: Vec<_> = region.caches.iter().map(|cache| cache.cache.as_str()).collect();
    assert_eq!(caches, ["redis", "varnish"]);
    let settled: Vec<_> = region.caches.iter().map(|cache| cache.settled_ms.unwrap()).collect();
    assert!(settled[0] <= settled[1], "Varnish waits for Redis: {settled:?}");
    assert!((settled[1] - applied).abs() < 1e-6, "applied with its last cache");

    let [region] = &house.api().regions().await[..] else { panic!("one region") };
    let measured = region.applied.since_start;
    assert_eq!(measured.count, 1);
    assert!((measured.max_ms - applied).abs() <= 1.0 + applied * 0.01, "{measured:?} of {applied}");
}
