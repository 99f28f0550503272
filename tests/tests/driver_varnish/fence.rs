//! The fence: what is on its way during a purge is not kept, and a fast stream of purges does not empty the cache.

use std::sync::Arc;
use std::time::Duration;

use agent::driver::{Batch, Driver, Fetches, Purge};
use axum::http::Method;
use futures::future::join_all;
use schemas::{Mode, Selector};
use tests::servers::origin::{Page, VERSION};
use tokio::time::{Instant, interval};

use crate::specimen::{House, driver_of, include_shipped, tag, until, url};

/// The VCL of a user who knows better how long a page may live.
const LONG_LIVED: &str = "sub vcl_backend_response { set beresp.ttl = 1h; set beresp.grace = 1h; set beresp.keep = 1h; }";
const ON_THEIR_WAY: usize = 12;
const FETCH: Duration = Duration::from_millis(400);
/// Long enough to be under way until a purge is done, on a machine that is busy with other things.
const LONG_FETCH: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn pages_on_their_way_during_a_purge_are_stale_without_the_fence_and_not_with_it() {
    let urls = || (0..ON_THEIR_WAY).map(|at| url(&format!("/a/{at}"))).collect::<Vec<_>>();
    let below =
        Selector::Prefix { host: "www.example.com".parse().unwrap(), path: "/a".parse().unwrap() };
    for (keys, selectors, mode, stale) in [
        ("fence = false", urls(), Mode::Hard, ON_THEIR_WAY),
        ("", urls(), Mode::Hard, 0),
        ("", urls(), Mode::Soft, 0),
        ("", vec![tag("t")], Mode::Hard, 0),
        ("", vec![below], Mode::Soft, 0),
        ("", vec![Selector::Everything], Mode::Hard, 0),
    ] {
        let house = House::with(&(include_shipped() + LONG_LIVED)).await;
        let driver = driver_at(&house, keys);
        let page = Page { tags: vec!["t".into()], delay: LONG_FETCH, ..Page::default() };
        for host in ["www.example.com", "www.example.net"] {
            for at in 0..ON_THEIR_WAY {
                house.origin.publish(&format!("{host}/a/{at}"), page.clone());
            }
        }
        let change = async {
            let asked = |at| format!("www.example.com/a/{at}");
            until(async || {
                (0..ON_THEIR_WAY).all(|at| house.origin.requests(&Method::GET, &asked(at)) == 1)
            })
            .await;
            for at in 0..ON_THEIR_WAY {
                house.origin.publish(&asked(at), Page { delay: Duration::ZERO, ..page.clone() });
            }
            let fetches = purge(driver.as_ref(), &selectors, mode).await;
            assert_eq!(fetches == Fetches::Fenced, stale == 0, "{keys} {selectors:?}");
        };
        let reading = join_all((0..ON_THEIR_WAY).map(|at| version(&house, "www.example.com", at)));
        let elsewhere = version(&house, "www.example.net", 0);
        let (read, ..) = futures::join!(reading, elsewhere, change);
        assert_eq!(read, [1; ON_THEIR_WAY], "{selectors:?}: they were on their way");
        let read =
            join_all((0..ON_THEIR_WAY).map(|at| version(&house, "www.example.com", at))).await;
        let old = read.iter().filter(|version| **version == 1).count();
        assert_eq!(old, stale, "{keys} {mode:?} {selectors:?}");
        assert!(house.holds("/a/0").await, "what is asked for afterwards is kept");
        let kept = house.get("www.example.net", "/a/0", &[("x-peek", "1")]).await;
        assert_eq!(kept.status(), 200, "another host has a fence of its own");
    }
}

#[tokio::test]
async fn under_a_hundred_purges_a_second_the_cache_hits_as_often_as_without_a_fence() {
    let (with, without, always) =
        futures::join!(hits(Fence::ByTheDriver), hits(Fence::Never), hits(Fence::Always));
    println!(
        "share of hits: {with:.3} with the fence, {without:.3} without, {always:.3} with one at each purge"
    );
    assert!(with > without - 0.05, "{with:.3} with the fence, {without:.3} without");
    assert!(always < without - 0.2, "{always:.3}: fences must be able to cost something here");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    ByTheDriver,
    Never,
    Always,
}

/// The share of requests that the cache answers by itself while its pages are purged in turn.
async fn hits(fence: Fence) -> f64 {
    const PAGES: usize = 10;
    let turn = Duration::from_millis(10);
    let house = House::with(&include_shipped()).await;
    let driver = driver_at(&house, if fence == Fence::ByTheDriver { "" } else { "fence = false" });
    house.origin.publish_others(Page { delay: 2 * turn, ..Page::default() });
    let purging = async {
        let mut turns = interval(turn);
        for at in 0.. {
            turns.tick().await;
            if fence == Fence::Always {
                raise(&house, "www.example.com").await;
            }
            purge(driver.as_ref(), &[url(&format!("/{}", at % PAGES))], Mode::Hard).await;
        }
    };
    let end = Instant::now() + Duration::from_secs(3);
    let reading = join_all((0..PAGES).map(async |at| {
        let (mut turns, mut reads, path) = (interval(turn), 0, format!("/{at}"));
        while Instant::now() < end {
            turns.tick().await;
            house.get("www.example.com", &path, &[]).await;
            reads += 1;
        }
        let fetches = house.origin.requests(&Method::GET, &format!("www.example.com{path}"));
        (reads, u32::try_from(fetches).unwrap())
    }));
    let counts = tokio::select! {
        counts = reading => counts,
        () = purging => unreachable!("it purges for ever"),
    };
    let (reads, fetches) =
        counts.iter().fold((0, 0), |(reads, fetches), count| (reads + count.0, fetches + count.1));
    1.0 - f64::from(fetches) / f64::from(reads)
}

#[tokio::test]
async fn a_fence_tells_how_long_fetches_take_and_not_everyone_raises_one() {
    let house = House::with(&include_shipped()).await;
    house.origin.publish_others(Page { delay: FETCH, ..Page::default() });
    assert_eq!(raise(&house, "www.example.com").await.as_deref(), Some("s"));
    house.get("www.example.com", "/slow", &[]).await;
    house.origin.publish_others(Page::default());
    house.get("www.example.com", "/fast", &[]).await;
    let told = raise(&house, "www.example.com").await.unwrap();
    let seconds: f64 = told.trim_end_matches('s').parse().unwrap();
    assert!((0.35..2.0).contains(&seconds), "the longest counts, not the latest: {told}");

    let purge = || Method::from_bytes(b"PURGE").unwrap();
    let fence = ("x-purgebus-fence", "www.example.com");
    let proxied = house.send(purge(), "www.example.com", "/", &[fence, ("via", "1.1 front")]).await;
    assert_eq!(proxied.status(), 403);
    for hostile in ["", "a b", "WWW", "a/b", "a\"b"] {
        let told = house.send(purge(), "h", "/", &[("x-purgebus-fence", hostile)]).await;
        assert_eq!(told.status(), 400, "{hostile:?}");
    }
    for at in 0..99 {
        assert!(raise(&house, &format!("h{at}")).await.is_some());
    }
    assert_eq!(raise(&house, "one-too-many").await, None, "every fetch looks through them all");
    assert!(raise(&house, "h0").await.is_some(), "those that stand go on");
}

/// What the answer says of the fence.
async fn raise(house: &House, host: &str) -> Option<String> {
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let answer = house.send(purge, host, "/", &[("x-purgebus-fence", host)]).await;
    assert_eq!(answer.status(), 200);
    let told = answer.headers().get("x-purgebus-fenced")?;
    Some(told.to_str().unwrap().to_owned())
}

fn driver_at(house: &House, keys: &str) -> Arc<dyn Driver> {
    driver_of(&format!("url = 'http://{}'\n{keys}", house.varnish.address()))
}

async fn purge(driver: &dyn Driver, selectors: &[Selector], mode: Mode) -> Fetches {
    let purge = |selector: &Selector| Purge::new("main".parse().unwrap(), selector.clone(), mode);
    driver.purge(&Batch { purges: selectors.iter().map(purge).collect() }).await.unwrap()
}

async fn version(house: &House, host: &str, at: usize) -> u64 {
    let answer = house.get(host, &format!("/a/{at}"), &[]).await;
    answer.headers()[VERSION].to_str().unwrap().parse().unwrap()
}
