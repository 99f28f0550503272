//! The Varnish driver on a real varnishd, in both manners.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "driver_varnish/fence.rs"]
mod fence;
#[path = "driver_varnish/guards.rs"]
mod guards;
#[path = "driver_varnish/keys.rs"]
mod keys;
#[path = "driver_varnish/several.rs"]
mod several;
#[path = "driver_varnish/specimen.rs"]
mod specimen;
#[path = "driver_varnish/weather.rs"]
mod weather;

use agent::driver::conformance;
use futures::future::join_all;
use tests::servers::origin::Page;

use self::specimen::{House, PLAIN, driver, include_shipped, url};

#[tokio::test]
async fn the_suite_holds_with_the_shipped_vcl() {
    conformance::run(&mut House::with(&include_shipped()).await).await;
}

#[tokio::test]
async fn the_suite_holds_with_a_vcl_that_purges_urls() {
    conformance::run(&mut House::with(PLAIN).await).await;
}

#[tokio::test]
async fn it_says_how_the_cache_is_purged() {
    for (vcl, cacheable, manner) in [
        (include_shipped(), false, "xkey"),
        (PLAIN.to_owned(), true, "plain PURGE"),
        (PLAIN.to_owned(), false, "plain PURGE, unproven: the probe object cannot be cached"),
    ] {
        let house = House::with(&vcl).await;
        if !cacheable {
            house.origin.publish_others(Page { cache_control: "no-store", ..Page::default() });
        }
        assert_eq!(house.driver.abilities().await.unwrap().manner, manner);
    }
}

#[tokio::test]
async fn a_thousand_urls_go_in_one_batch() {
    for vcl in [include_shipped(), PLAIN.to_owned()] {
        let house = House::with(&vcl).await;
        let paths =
            (0..1_000).map(|at| format!("/page/{at}?x={}", "y".repeat(100))).collect::<Vec<_>>();
        for path in &paths {
            house.cached(path, Page::default()).await;
        }
        house.cached("/bystander", Page::default()).await;
        house.purge(paths.iter().map(|path| url(path))).await.unwrap();
        for path in &paths {
            assert!(!house.holds(path).await, "{path} is still there");
        }
        assert!(house.holds("/bystander").await);
    }
}

#[tokio::test]
async fn drivers_of_one_agent_probe_without_disturbing_each_other() {
    let house = House::with(&include_shipped()).await;
    let url = format!("http://{}", house.varnish.address());
    let drivers = (0..16).map(|_| driver(&url)).collect::<Vec<_>>();
    for probed in join_all(drivers.iter().map(|driver| driver.probe())).await {
        probed.unwrap();
    }
}
