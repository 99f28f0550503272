//! A Redis that loads an older copy of itself while we run: its lane goes back, and Varnish's lane with it.

use redis::cmd;
use schemas::api::ProgressState;
use tests::eventually;
use tests::servers::origin::Page;

use crate::house::{House, url};

const IN_REDIS: &str = "page:www.example.com/a";

async fn count(house: &House, metric: &str, cache: &str, cause: &str) -> u64 {
    let labels = [format!("cache=\"{cache}\""), format!("cause=\"{cause}\"")];
    let labels = labels.each_ref().map(String::as_str);
    house.api().count(metric, &[labels[0], labels[1], "priority=\"normal\""]).await
}

#[tokio::test]
async fn what_a_restored_redis_has_lost_is_purged_again_there_and_in_varnish() {
    let mut house = House::start().await;
    house.cached("/early", &[]).await;
    house.api().publish_until("final", &url("/early")).await;
    house.cached("/early", &[]).await;
    eventually("both cursors tell of it", async || {
        let cursors = house.serve.cursors();
        ["redis", "varnish"].iter().all(|cache| {
            cursors.get(*cache).is_some_and(|cursor| cursor.lines.iter().any(|line| line.floor > 0))
        })
    })
    .await;
    house.caches.store(IN_REDIS).await;
    cmd("SAVE").exec_async(&mut house.caches.redis.connect().await).await.unwrap();

    house.cached("/a", &[]).await;
    house.change("/a", Page::default());
    let purged = house.api().publish_until("final", &url("/a")).await;
    assert!(!house.caches.stores(IN_REDIS).await);
    assert_eq!(house.caches.version("/a").await, 2);
    // What Varnish holds is by now what it got from the old Redis; nobody tells.
    house.change("/a", Page::default());
    house.change("/early", Page::default());
    house.caches.redis.stop().await;
    house.caches.redis.restart().await;

    let state = async || house.api().status(purged.facts.id).await.state;
    eventually("it is no longer claimed", async || state().await != ProgressState::Final).await;
    eventually("it is final again", async || state().await == ProgressState::Final).await;
    assert!(!house.caches.stores(IN_REDIS).await, "it had come back");
    assert_eq!(house.caches.version("/a").await, 3, "Varnish was purged again");
    assert_eq!(house.caches.version("/early").await, 2, "what Redis had kept was not");
    for (cache, cause) in [("redis", "older"), ("varnish", "inner")] {
        assert_eq!(count(&house, "purgebus_relapses_total", cache, cause).await, 1, "{cache}");
    }
    assert_eq!(house.api().count("purgebus_flushes_total", &[]).await, 0);
}
