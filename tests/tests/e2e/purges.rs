//! What a purge removes, from where, in which order and how often.

use schemas::api::ProgressState;
use serde_json::{Value, json};
use tests::eventually;
use tests::serve::DATA;
use tests::servers::origin::Page;

use crate::house::{House, REBOUNDS, redis_key, tag, varnish_key};

/// One kind of selector, and what is gone when it is applied.
struct Case {
    request: Value,
    pages: &'static [&'static str],
    keys: &'static [&'static str],
}

const PAGES_CACHED: [&str; 6] =
    ["/blog", "/blog/a", "/blog/a?x=1", "/blog/a?x=2", "/blogger", "/tagged"];
const KEYS_STORED: [&str; 3] = ["tag:t", "main:user:42", "main:user:43"];

fn cases() -> [Case; 6] {
    let url = "https://www.example.com/blog/a";
    [
        Case { request: json!({"urls": [url]}), pages: &["/blog/a"], keys: &[] },
        Case {
            request: json!({"urls": [{"url": url, "query": "any"}]}),
            pages: &["/blog/a", "/blog/a?x=1", "/blog/a?x=2"],
            keys: &[],
        },
        Case { request: tag("t"), pages: &["/tagged"], keys: &["tag:t"] },
        Case {
            request: json!({"prefixes": ["https://www.example.com/blog"]}),
            pages: &["/blog", "/blog/a", "/blog/a?x=1", "/blog/a?x=2"],
            keys: &[],
        },
        Case {
            request: json!({"site": "main", "keys": ["user:42"]}),
            pages: &[],
            keys: &["main:user:42"],
        },
        Case {
            request: json!({"site": "main", "everything": true, "confirm": "main"}),
            pages: &PAGES_CACHED,
            keys: &KEYS_STORED,
        },
    ]
}

#[tokio::test]
async fn each_kind_of_selector_removes_what_it_names_and_nothing_else() {
    let removes_all = async |wait, priority| {
        let house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
        for path in PAGES_CACHED {
            edit(&house, path);
        }
        for case in cases() {
            removes(&house, case, wait, priority).await;
        }
    };
    tokio::join!(removes_all("applied", "normal"), removes_all("final", "critical"));
}

fn edit(house: &House, path: &str) {
    let tags = if path == "/tagged" { vec!["t".to_owned()] } else { Vec::new() };
    house.change(path, Page { tags, ..Page::default() });
}

async fn removes(house: &House, case: Case, wait: &str, priority: &str) {
    let Case { mut request, pages, keys } = case;
    let mut before = Vec::new();
    for path in PAGES_CACHED {
        before.push(house.caches.version(path).await);
        edit(house, path);
    }
    for key in KEYS_STORED {
        house.caches.store(key).await;
    }
    request["priority"] = priority.into();
    let progress = house.api().publish_until(wait, &request).await;
    for (path, before) in PAGES_CACHED.into_iter().zip(before) {
        let fresh = house.caches.version(path).await > before;
        assert_eq!(fresh, pages.contains(&path), "{path} after {request}");
    }
    for key in KEYS_STORED {
        assert_eq!(!house.caches.stores(key).await, keys.contains(&key), "{key} after {request}");
    }
    // The next case shall see no later pass of this one.
    eventually("final", async || {
        house.api().status(progress.facts.id).await.state == ProgressState::Final
    })
    .await;
}

#[tokio::test]
async fn redis_is_purged_before_varnish() {
    let house =
        House::with(|caches| caches.settings(DATA, &format!("{REBOUNDS}\nbarrier = \"30s\"")))
            .await;
    let caches = &house.caches;
    for at in 0..5 {
        let name = format!("ordered-{at}");
        caches.way_to_redis.hold_answers();
        house.api().publish(&tag(&name)).await;
        let redis = caches.redis_witness.saw(&redis_key(&name)).await;
        // Long enough for a Varnish that waits for nobody, as the first lane's speed shows.
        house.api().publish_in_vain("applied", "500ms", &tag(&format!("{name}-later"))).await;
        assert_eq!(caches.varnish_witness.sightings(&varnish_key(&name)), [] as [f64; 0]);
        caches.way_to_redis.pass_answers();
        let varnish = caches.varnish_witness.saw(&varnish_key(&name)).await;
        assert!(varnish > redis + 0.5, "Varnish at {varnish}, Redis at {redis}");
    }
}

#[tokio::test]
async fn varnish_waits_for_a_silent_redis_no_longer_than_the_barrier() {
    let house =
        House::with(|caches| caches.settings(DATA, &format!("{REBOUNDS}\nbarrier = \"700ms\"")))
            .await;
    let caches = &house.caches;
    caches.way_to_redis.hold_answers();
    house.api().publish(&tag("a")).await;
    let redis = caches.redis_witness.saw("tag:a").await;
    let varnish = caches.varnish_witness.saw(&varnish_key("a")).await;
    assert!(varnish > redis + 0.6, "Varnish at {varnish}, Redis at {redis}");
    caches.way_to_redis.pass_answers();
}

#[tokio::test]
async fn each_is_purged_at_once_and_once_more_for_each_later_pass() {
    let house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    let progress = house.api().publish_until("final", &tag("a")).await;
    house.caches.catch_up().await;
    for sightings in [
        house.caches.redis_witness.sightings("tag:a"),
        house.caches.varnish_witness.sightings(&varnish_key("a")),
    ] {
        let [first, second, third] = sightings[..] else { panic!("{sightings:?}") };
        assert!(second >= first + 0.3 && third >= first + 1.0, "{sightings:?}");
        assert!(progress.final_ms.unwrap() >= 1_000.0 * (third - first), "{progress:#?}");
    }
    let applied = progress.applied_ms.unwrap();
    assert!(applied < 1_000.0, "applied counts from the first pass, not after {applied} ms");
}
