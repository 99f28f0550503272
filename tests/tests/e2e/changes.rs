//! SIGHUP under load: one cache is changed, one is added, one is removed, and the others do not notice.

use std::time::Duration;

use schemas::api::ProgressState;
use tests::eventually;
use tests::serve::{Caches, DATA, Settings};
use tests::servers::origin::Page;
use tests::town::Edge;
use tokio::time::sleep;
use uuid::Uuid;

use crate::house::{House, REBOUNDS, redis_key, tag, varnish_key};

/// Light load.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);
const PRIORITIES: usize = 2;
const GAUGES: [&str; 5] =
    ["circuit_open", "lag_numbers", "unsettled", "lane_lines", "rebounds_waiting"];

/// Both caches, neither after the other.
fn apart(caches: &Caches, of_redis: &str) -> Settings {
    Settings::default()
        .redis(caches.way_to_redis.address(), DATA, &format!("{REBOUNDS}\n{of_redis}"))
        .varnish(caches.way_to_varnish.address(), REBOUNDS)
}

fn reload(house: &mut House, settings: Settings) {
    house.serve.configure(move |home| settings.toml(home));
    house.serve.reload();
}

/// How often lanes of a cache have begun and ended.
fn lives(house: &House, cache: &str) -> (usize, usize) {
    let log = house.serve.log();
    let lane = format!("lane=\"{cache}.");
    let said =
        |what: &str| log.lines().filter(|line| line.contains(what) && line.contains(&lane)).count();
    (said("lane begins"), said("lane ended"))
}

/// How many of its gauges are shown of a cache.
async fn gauges(house: &House, cache: &str) -> usize {
    let metrics = house.serve.admin().metrics().await;
    let series = GAUGES.map(|gauge| format!("purgebus_{gauge}{{cache=\"{cache}\""));
    series.iter().filter(|series| metrics.contains(series.as_str())).count()
}

async fn publish(house: &House) -> (Uuid, String) {
    let name = format!("t{}", Uuid::now_v7().simple());
    (house.api().publish(&tag(&name)).await.id, name)
}

/// Publishes tags, one after the other, until `changed` and once more; answers what was accepted.
async fn publish_during(house: &House, changed: impl Future<Output = ()>) -> Vec<(Uuid, String)> {
    let mut accepted = Vec::new();
    let publishing = async {
        loop {
            accepted.push(publish(house).await);
            assert_eq!(gauges(house, "varnish").await, GAUGES.len(), "they stay");
            sleep(PUBLISH_EVERY).await;
        }
    };
    tokio::select! {
        () = changed => {}
        () = publishing => {}
    }
    accepted.push(publish(house).await);
    accepted
}

/// All caches that owe it say that they have purged it.
async fn is_final(house: &House, accepted: &[(Uuid, String)]) {
    for (id, _) in accepted {
        eventually("final", async || house.api().status(*id).await.state == ProgressState::Final)
            .await;
        assert!(house.api().status(*id).await.missing.is_empty());
    }
}

/// None of it is lost: both caches were seen to be purged of it.
async fn nothing_is_lost(house: &House, accepted: &[(Uuid, String)]) {
    for (_, name) in accepted {
        house.caches.redis_witness.saw(&redis_key(name)).await;
        house.caches.varnish_witness.saw(&varnish_key(name)).await;
    }
}

#[tokio::test]
async fn a_changed_cache_begins_anew_and_one_comes_and_goes_while_the_others_purge_on() {
    let mut house = House::with(|caches| apart(caches, "")).await;
    let edge = Edge::start(house.origin.address()).await;
    let changed = apart(&house.caches, "timeout = \"3s\"");
    let more = changed.clone().edge_named("added", edge.address(), REBOUNDS);
    house.cached("/kept", &[]).await;

    reload(&mut house, changed.clone());
    let begun = eventually("Redis has lanes anew", async || {
        lives(&house, "redis") == (2 * PRIORITIES, PRIORITIES) && house.api().is_ready().await
    });
    let mut accepted = publish_during(&house, begun).await;
    reload(&mut house, more);
    let added = eventually("there is one more", async || {
        lives(&house, "added") == (PRIORITIES, 0) && house.api().is_ready().await
    });
    accepted.extend(publish_during(&house, added).await);
    is_final(&house, &accepted).await;
    nothing_is_lost(&house, &accepted).await;
    assert_eq!(gauges(&house, "added").await, GAUGES.len());

    reload(&mut house, changed);
    let removed = eventually("and one less", async || {
        lives(&house, "added") == (PRIORITIES, PRIORITIES) && gauges(&house, "added").await == 0
    });
    let accepted = publish_during(&house, removed).await;
    nothing_is_lost(&house, &accepted).await;

    assert_eq!(lives(&house, "varnish"), (PRIORITIES, 0), "{}", house.serve.log_tail());
    assert_eq!(lives(&house, "redis"), (2 * PRIORITIES, PRIORITIES));
    assert_eq!(house.api().count("purgebus_flushes_total", &[]).await, 0);
    house.change("/kept", Page::default());
    assert_eq!(house.caches.version("/kept").await, 1, "nobody has purged it");
}
