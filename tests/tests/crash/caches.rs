//! The caches die instead, and come back empty.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use crate::town::{Town, is_sound};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_caches_are_killed_under_load() {
    let mut rng = Rng::new();
    let (mut town, serve) = Town::start(&mut rng).await;
    serve.ready().await;
    for _ in 0..3 {
        sleep(Duration::from_millis(rng.u64(500..2_500))).await;
        town.caches.varnish.stop().await;
        sleep(Duration::from_millis(rng.u64(0..1_500))).await;
        town.caches.varnish.restart().await;

        sleep(Duration::from_millis(rng.u64(500..2_500))).await;
        town.caches.redis.stop().await;
        sleep(Duration::from_millis(rng.u64(0..1_500))).await;
        town.caches.redis.restart().await;
        town.places[0].shop().keep_pages_in(town.caches.redis.connect().await);
    }
    is_sound(&town.come_to_rest().await);
}
