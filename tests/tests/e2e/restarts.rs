//! What a process that leaves takes along, and what the next one still knows.

use std::time::Duration;

use schemas::api::ProgressState;
use tests::eventually;
use tests::serve::{DATA, is_finished};

use crate::house::{House, REBOUNDS, redis_key, tag, url, varnish_key};

/// What the configuration grants.
const GRACE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_status_is_still_true_after_a_restart() {
    let mut house = House::start().await;
    let finished = house.api().publish_until("final", &url("/a")).await;
    let applied = house.api().publish_until("applied", &url("/b")).await;
    for kill in [false, true] {
        if kill {
            house.serve.kill();
        } else {
            house.serve.terminate().await;
        }
        house.serve.restart().await;
        let now = house.api().status(finished.facts.id).await;
        assert_eq!(
            (now.state, now.facts.published_at),
            (ProgressState::Final, finished.facts.published_at)
        );
        let known = |milliseconds: Option<f64>| milliseconds.unwrap();
        for (then, now) in
            [(finished.applied_ms, now.applied_ms), (finished.final_ms, now.final_ms)]
        {
            // Stored times are rounded, up to a second later.
            let later = known(now) - known(then);
            assert!((-0.01..=1_000.0).contains(&later), "{now:?} ms, once {then:?} ms");
        }
        eventually("the other is final too", async || {
            house.api().status(applied.facts.id).await.state == ProgressState::Final
        })
        .await;
    }
    assert!(
        house.api().try_status(uuid::Uuid::nil()).await.is_err(),
        "an id that nobody was given"
    );
}

#[tokio::test]
async fn who_is_asked_to_leave_stores_the_cursors_and_repeats_nothing_that_was_final() {
    let mut house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    for at in 0..20 {
        house.api().publish(&tag(&format!("early-{at}"))).await;
    }
    house.api().publish_until("final", &tag("early")).await;
    // The cursor is stored now and then: what is final since then must be stored on leaving.
    house.api().publish_until("final", &tag("late")).await;
    house.api().publish_until("applied", &tag("pending")).await;

    let (status, took) = house.serve.terminate().await;
    assert!(status.success(), "{status}:\n{}", house.serve.log_tail());
    assert!(took < GRACE, "it took {took:?}");
    let remains = house.serve.remains().await;
    assert_eq!(remains.numbered.len(), 23);
    for cache in ["redis", "varnish"] {
        let finished =
            remains.numbered.keys().filter(|place| is_finished(&remains.cursors[cache], **place));
        assert_eq!(finished.count(), 22, "all but the pending one, in {cache}");
    }

    let passes = |key: &str| match key {
        "pending" => 2..=4,
        _ => 3..=3,
    };
    house.serve.restart().await;
    house.serve.ready().await;
    house.api().publish_until("final", &tag("after")).await;
    house.caches.catch_up().await;
    for name in ["early-0", "early-19", "early", "late", "pending", "after"] {
        let redis = house.caches.redis_witness.sightings(&redis_key(name)).len();
        let varnish = house.caches.varnish_witness.sightings(&varnish_key(name)).len();
        assert!(passes(name).contains(&redis), "{name}: {redis} times in Redis");
        assert!(passes(name).contains(&varnish), "{name}: {varnish} times in Varnish");
    }
    assert_eq!(house.api().count("purgebus_flushes_total", &[]).await, 0, "it has its cursors");
}

#[tokio::test]
async fn it_leaves_within_its_grace_though_a_cache_hangs_and_somebody_waits() {
    let mut house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    house.caches.way_to_varnish.hold_answers();
    let api = house.api().clone();
    let waiter = async {
        let query = "?wait=applied&timeout=60s";
        api.request(query).json(&tag("a")).send().await.map(|answer| answer.status())
    };
    let leave = async {
        house.caches.redis_witness.saw("tag:a").await;
        house.serve.terminate().await
    };
    let (answer, (status, took)) = tokio::join!(waiter, leave);
    assert_eq!(answer.unwrap(), reqwest::StatusCode::ACCEPTED, "told how far it had come");
    assert!(status.success(), "{status}:\n{}", house.serve.log_tail());
    assert!(took < GRACE, "it took {took:?}");

    house.caches.catch_up().await;
    let remains_to_do = varnish_key("a");
    let before = house.caches.varnish_witness.sightings(&remains_to_do).len();
    house.caches.way_to_varnish.pass_answers();
    house.serve.restart().await;
    eventually("what was under way is done again", async || {
        house.caches.varnish_witness.sightings(&remains_to_do).len() > before
    })
    .await;
}
