//! Flushes of real caches: those that a human orders, and those of lanes that cannot know what they missed.

use bytes::Bytes;
use daemon::Clock;
use schemas::{Frame, Invalidation, LineId, LogMessage, Number, Outcome, Selector, wire};
use serde_json::Value;
use tests::eventually;
use tests::serve::{DATA, PAGES, Settings};
use tests::servers::origin::Page;
use uuid::Uuid;

use crate::house::{House, REBOUNDS, url};

/// Page and value that only a flush removes: nobody tells that they have changed.
const PAGE: &str = "/a";
const VALUE: &str = "main:a";
const ELSEWHERES: &str = "elsewhere";
/// What Varnish is told that shall forget all of the site.
const ALL_PAGES: &str = "s:www.example.com";
const OLD_HOST: &str = "s:shop.example.com";
/// What is missing is noticed at once; a flush for that may come at any time of a long day.
const NOTICED: &str = "hole_grace = \"200ms\"\nhole_deadline = \"500ms\"";
const SOME_DAY: &str = "flush_spread = \"1000h\"";
const AT_ONCE: &str = "flush_spread = \"0s\"";

async fn filled(house: &House) {
    house.cached(PAGE, &[]).await;
    house.caches.store(VALUE).await;
    house.caches.store(ELSEWHERES).await;
    house.change(PAGE, Page::default());
}

/// Waits until no later pass of a flush, in either lane, can be taken for the next one.
async fn passes_are_over(house: &House) {
    for priority in ["normal", "critical"] {
        let mut wish = url("/other");
        wish["priority"] = priority.into();
        house.api().publish_until("final", &wish).await;
    }
}

async fn serves(house: &House, version: u64) {
    eventually(&format!("{PAGE} is of version {version}"), async || {
        house.caches.version(PAGE).await == version
    })
    .await;
}

async fn flush(house: &House, arguments: &[&str]) -> Option<i32> {
    let told = house.ask(&[&["flush"], arguments].concat()).await;
    told.status.code()
}

/// How often the normal lane of a cache flushed since the process started, for this cause.
async fn flushes(house: &House, cache: &str, cause: &str) -> u64 {
    let labels =
        [format!("cache=\"{cache}\""), format!("cause=\"{cause}\""), "priority=\"normal\"".into()];
    house.api().count("purgebus_flushes_total", &labels.each_ref().map(String::as_str)).await
}

/// A frame of a publisher that nobody knows, with one number of its only line.
fn frame(line: LineId, number: Number) -> Bytes {
    let now = Clock::system().now();
    let invalidation = Invalidation::new(
        Uuid::now_v7(),
        "main".parse().unwrap(),
        vec![Selector::Key(format!("stranger-{number}").parse().unwrap())],
        now,
    );
    wire::encode_log(&LogMessage::Frame(Frame {
        publisher: "stranger".parse().unwrap(),
        line,
        first: number,
        committed_at: now,
        invalidations: vec![invalidation],
        signature: None,
    }))
}

/// The log lacks a number that nobody can give again, and the process is down.
async fn with_a_hole(house: &mut House) {
    filled(house).await;
    house.api().publish_until("final", &url("/before")).await;
    house.serve.terminate().await;
    let line = LineId::random();
    house.serve.inject([frame(line, 1), frame(line, 3)]).await;
}

/// What the normal lanes of both caches say about their readiness.
async fn said(house: &House) -> Vec<String> {
    let lanes = ["lane redis.normal", "lane varnish.normal"];
    let mut said = Vec::new();
    for lane in lanes {
        said.extend(house.serve.admin().details(lane).await);
    }
    said
}

#[tokio::test]
async fn a_human_flushes_a_cache_or_a_region_hard_or_soft_the_inner_cache_first() {
    let house = House::start().await;
    filled(&house).await;
    let local = ["--region", "local"];
    assert_eq!(flush(&house, &["--region", "elsewhere"]).await, Some(4));
    assert_eq!(flush(&house, &[&local[..], &["--cache", "nginx"]].concat()).await, Some(4));

    let outer = [&local[..], &["--cache", "varnish"]].concat();
    assert_eq!(flush(&house, &outer).await, Some(0));
    serves(&house, 2).await;
    house.caches.catch_up().await;
    assert!(house.caches.stores(VALUE).await, "Redis was not meant");
    assert_eq!(flushes(&house, "varnish", "ordered").await, 1);

    passes_are_over(&house).await;
    house.cached(PAGE, &[]).await;
    let ordered = house.ask(&["flush", "--region", "local", "--soft", "--json"]).await;
    let ordered: Value = serde_json::from_slice(&ordered.stdout).expect("one document");
    assert_eq!((&ordered["mode"], &ordered["region"]), (&"soft".into(), &"local".into()));
    eventually("Redis removes what it cannot mark", async || !house.caches.stores(VALUE).await)
        .await;
    eventually("the pages are stale", async || {
        house.caches.varnish_witness.sightings(ALL_PAGES).len() > 2
    })
    .await;
    house.change(PAGE, Page::default());
    serves(&house, 4).await;

    passes_are_over(&house).await;
    house.caches.store(VALUE).await;
    house.change(PAGE, Page::default());
    house.caches.catch_up().await;
    let unlinked = house.caches.redis_witness.sightings(VALUE).len();
    let purged = house.caches.varnish_witness.sightings(ALL_PAGES).len();
    assert_eq!(flush(&house, &local).await, Some(0));
    serves(&house, 5).await;
    house.caches.catch_up().await;
    let inner = house.caches.redis_witness.sightings(VALUE)[unlinked];
    let outer = house.caches.varnish_witness.sightings(ALL_PAGES)[purged];
    assert!(inner < outer, "Redis at {inner}, Varnish at {outer}");
    assert!(house.caches.stores(ELSEWHERES).await);
}

#[tokio::test]
async fn a_flush_that_has_time_is_not_forgotten_by_a_restart() {
    let settings = |house: &House, spread: &str| {
        house.caches.settings(PAGES, &format!("{REBOUNDS}\n{NOTICED}\n{spread}"))
    };
    let mut house = House::start().await;
    configure(&mut house, |house| settings(house, SOME_DAY));
    with_a_hole(&mut house).await;
    for kill in [false, true, true] {
        house.serve.restart().await;
        eventually("both lanes owe a flush", async || {
            let owed = |told: &String| told.contains("a flush is due");
            said(&house).await.iter().filter(|told| owed(told)).count() == 2
        })
        .await;
        if kill {
            house.serve.kill();
        } else {
            house.serve.terminate().await;
        }
    }
    assert!(house.caches.stores(VALUE).await, "not yet");

    configure(&mut house, |house| settings(house, AT_ONCE));
    house.serve.restart().await;
    house.serve.ready().await;
    serves(&house, 2).await;
    assert!(!house.caches.stores(VALUE).await && house.caches.stores(ELSEWHERES).await);
    for cache in ["redis", "varnish"] {
        let lanes = house.api().lanes(cache).await;
        let flushed = |lane: &schemas::api::CacheSummary| {
            lane.outcomes.get(&Outcome::Flushed).copied() == Some(1)
        };
        assert!(lanes.iter().any(flushed), "{lanes:#?}");
    }
    house.api().publish_until("final", &url("/after")).await;
    house.serve.terminate().await;
    house.serve.restart().await;
    house.serve.ready().await;
    assert_eq!(house.api().count("purgebus_flushes_total", &[]).await, 0, "done is done");
}

#[tokio::test]
async fn what_on_gap_holds_is_said_everywhere_until_a_human_flushes_hard() {
    let settings = |house: &House| {
        let more = format!("{REBOUNDS}\n{NOTICED}\n{AT_ONCE}\non_gap = \"hold\"");
        house.caches.settings(PAGES, &more)
    };
    let mut house = House::start().await;
    configure(&mut house, settings);
    with_a_hole(&mut house).await;
    house.serve.restart().await;
    let waits = "waits for `purgebus flush`";
    eventually("readiness tells it of both", async || {
        said(&house).await.iter().filter(|told| told.contains(waits)).count() == 2
    })
    .await;
    let held = async |house: &House| house.api().count("purgebus_flush_held", &[]).await;
    assert_eq!(held(&house).await, 2);
    eventually("so does the status of the caches", async || {
        let told = house.ask(&["caches"]).await;
        String::from_utf8_lossy(&told.stdout).contains(waits)
    })
    .await;
    assert_eq!(
        flush(&house, &["--region", "local", "--cache", "varnish", "--soft"]).await,
        Some(0)
    );
    eventually("Varnish has marked it stale", async || {
        flushes(&house, "varnish", "ordered").await == 1
    })
    .await;
    assert_eq!(held(&house).await, 2, "that makes up for nothing");

    serves(&house, 2).await;
    house.change(PAGE, Page::default());
    assert_eq!(flush(&house, &["--region", "local"]).await, Some(0));
    house.serve.ready().await;
    eventually("none waits any more", async || held(&house).await == 0).await;
    serves(&house, 3).await;
    assert!(!house.caches.stores(VALUE).await);
    assert!(!said(&house).await.iter().any(|told| told.contains(waits)));
}

#[tokio::test]
async fn the_outer_cache_is_flushed_after_the_inner_one_though_we_are_killed_in_between() {
    let mut house = House::start().await;
    filled(&house).await;
    house.api().publish_until("final", &url("/before")).await;
    house.caches.way_to_varnish.hold_answers();
    // It comes back empty, without its cursor.
    house.caches.redis.stop().await;
    house.caches.redis.restart().await;
    eventually("Redis is flushed", async || flushes(&house, "redis", "no_cursor").await == 1).await;
    eventually("its last pass is done, and Varnish's cursor tells of it", async || {
        let cursors = house.serve.cursors();
        let (inner, outer) = (cursors.get("redis"), cursors.get("varnish"));
        inner.is_some_and(|cursor| cursor.flushed.is_none() && cursor.life > 1)
            && outer.is_some_and(|cursor| cursor.behind)
    })
    .await;
    // Varnish obeys, but nobody hears of it.
    serves(&house, 2).await;
    house.change(PAGE, Page::default());
    house.serve.kill();
    house.caches.way_to_varnish.pass_answers();
    house.serve.restart().await;
    serves(&house, 3).await;
    assert_eq!(flushes(&house, "varnish", "inner").await, 1);
    assert_eq!(flushes(&house, "redis", "no_cursor").await, 0);
    eventually("it tells of it no more", async || !house.serve.cursors()["varnish"].behind).await;
}

#[tokio::test]
async fn a_host_that_is_new_in_a_site_is_flushed_alone() {
    let settings = |house: &House| house.caches.settings(DATA, REBOUNDS);
    let mut house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    let without = settings(&house);
    house.serve.terminate().await;
    house.serve.configure(move |home| {
        without.toml(home).replace("[\"www.example.com\"]", "[\"shop.example.com\"]")
    });
    house.serve.restart().await;
    house.serve.ready().await;
    filled(&house).await;
    house.api().publish_until("final", &serde_json::json!({"site": "main", "tags": ["a"]})).await;
    house.serve.terminate().await;
    house.caches.catch_up().await;
    let old_host = house.caches.varnish_witness.sightings(OLD_HOST).len();
    let with = settings(&house);
    house.serve.configure(move |home| {
        let both = "[\"shop.example.com\", \"www.example.com\"]";
        with.toml(home).replace("[\"www.example.com\"]", both)
    });
    for kill in [true, false] {
        house.serve.restart().await;
        house.serve.ready().await;
        serves(&house, 2).await;
        assert_eq!(flushes(&house, "varnish", "configuration").await, 1, "its pass was not done");
        if kill {
            house.serve.kill();
        }
    }
    house.api().publish_until("final", &url("/after")).await;
    house.caches.catch_up().await;
    assert!(!house.caches.varnish_witness.sightings(ALL_PAGES).is_empty());
    assert_eq!(house.caches.varnish_witness.sightings(OLD_HOST).len(), old_host);
    assert!(house.caches.stores(VALUE).await, "no key of Redis tells its host");
    house.serve.terminate().await;
    house.serve.restart().await;
    house.serve.ready().await;
    assert_eq!(flushes(&house, "varnish", "configuration").await, 0, "it is known now");
}

fn configure(house: &mut House, settings: impl Fn(&House) -> Settings) {
    let settings = settings(house);
    house.serve.configure(move |home| settings.toml(home));
}
