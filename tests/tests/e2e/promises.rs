//! What the API promises about requests: rehearsed, repeated, refused.

use reqwest::StatusCode;
use schemas::api::{Accepted, DryRun, Problem};
use serde_json::json;

use crate::house::{House, redis_key, tag, url, varnish_key};

#[tokio::test]
async fn a_dry_run_shows_what_each_cache_would_do_and_publishes_nothing() {
    let mut house = House::start().await;
    let request = json!({
        "urls": ["HTTP://WWW.Example.com:80/%62"],
        "tags": ["t"],
        "prefixes": ["https://www.example.com/blog"],
    });
    let shown: DryRun = house.api().send("?dry_run=true", &request, StatusCode::OK).await;
    assert_eq!(shown.site.as_str(), "main");
    assert!(shown.selectors.iter().any(|text| text.contains("www.example.com/b")), "{shown:#?}");
    let caches: Vec<_> = shown.caches.iter().map(|cache| cache.cache.as_str()).collect();
    assert_eq!(caches, ["redis", "varnish"]);
    for cache in &shown.caches {
        let unsupported = cache.selectors.iter().filter(|word| *word == "unsupported").count();
        assert_eq!(unsupported, usize::from(cache.cache.as_str() == "redis"), "{shown:#?}");
        assert_eq!(cache.selectors.len(), 3);
    }
    // A real one goes the whole way; the rehearsed one has left no trace.
    house.api().publish_until("final", &tag("real")).await;
    house.caches.catch_up().await;
    assert!(house.caches.redis_witness.sightings(&redis_key("t")).is_empty());
    assert!(house.caches.varnish_witness.sightings(&varnish_key("t")).is_empty());
    assert_eq!(house.api().count("purgebus_published_total", &[]).await, 1);
    house.serve.terminate().await;
    assert_eq!(house.serve.remains().await.numbered.len(), 1);
}

#[tokio::test]
async fn the_same_key_gives_the_same_id_over_restarts_too() {
    let mut house = House::start().await;
    let first: Accepted = house.api().try_publish(&url("/a"), "key-1").await.unwrap();
    for kill in [false, true] {
        let again = house.api().try_publish(&url("/a"), "key-1").await.unwrap();
        assert_eq!((again.id, again.published_at), (first.id, first.published_at));
        let other = house.api().request("").header("idempotency-key", "key-1").json(&url("/b"));
        let other = other.send().await.unwrap();
        assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(other.headers()["content-type"], "application/problem+json");
        let problem: Problem = other.json().await.unwrap();
        assert!(problem.detail.unwrap().contains("Idempotency-Key"));
        if kill {
            house.serve.kill();
        } else {
            house.serve.terminate().await;
        }
        assert_eq!(house.serve.remains().await.numbered.len(), 1);
        house.serve.restart().await;
    }
    let again = house.api().try_publish(&url("/a"), "key-1").await.unwrap();
    assert_eq!(again.id, first.id);
    let new = house.api().try_publish(&url("/a"), "key-2").await.unwrap();
    assert_ne!(new.id, first.id);
}
