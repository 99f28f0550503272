//! Redis, Varnish, and an edge in front of Varnish: each is purged after the one it fills from.

use std::sync::Arc;

use agent::driver::Endpoint;
use agent::driver::edge::proxy::{Proxy as Edge, ProxyConfig};
use daemon::Stop;
use reqwest::Client;
use schemas::{Audience, Site, Sites};
use tests::serve::{Caches, DATA, Serve};
use tests::servers::origin::{Origin, Page, VERSION};
use tokio::task::JoinSet;

use crate::house::{House, REBOUNDS, url};

fn sites() -> Sites {
    let hosts = ["www.example.com".parse().unwrap()].into();
    Sites::new([Site { name: "main".parse().unwrap(), hosts, regions: Audience::All }])
}

#[tokio::test]
async fn an_edge_is_purged_after_the_varnish_that_it_fills_from() {
    let origin = Origin::start().await;
    let caches = Caches::start(origin.address()).await;
    let varnish = Endpoint::try_from(format!("http://{}", caches.varnish.address())).unwrap();
    let edge = Edge::bind(ProxyConfig::new(varnish, Arc::new(sites()))).await.unwrap();
    let address = edge.local_addr();
    let mut running = JoinSet::new();
    running.spawn(edge.run(Stop::new()));
    let outermost = format!("after = \"varnish\"\nbarrier = \"30s\"\n{REBOUNDS}");
    let settings = caches.settings(DATA, REBOUNDS).edge(address, &outermost);
    let serve = Serve::start_ready(settings).await;
    let house = House { origin, caches, serve };

    let client = Client::new();
    let version = async || {
        let request = client.get(format!("http://{address}/a")).header("host", "www.example.com");
        let answer = request.send().await.unwrap();
        answer.headers()[VERSION].to_str().unwrap().parse::<u64>().unwrap()
    };
    house.change("/a", Page::default());
    assert_eq!(version().await, 1);
    house.change("/a", Page::default());
    assert_eq!(version().await, 1, "the edge holds it");
    house.caches.way_to_varnish.hold_answers();
    let progress = house.api().publish_in_vain("applied", "700ms", &url("/a")).await;
    house.caches.varnish_witness.saw("u:www.example.com/a").await;
    assert_eq!(version().await, 1, "the edge waits until Varnish has answered");
    house.caches.way_to_varnish.pass_answers();
    house.api().publish_until("final", &url("/a")).await;
    assert_eq!(version().await, 2);

    let caches = &house.api().status(progress.facts.id).await.regions[0].caches;
    let names: Vec<_> = caches.iter().map(|cache| cache.cache.as_str()).collect();
    assert_eq!(names, ["edge", "varnish"], "Redis holds no pages");
    assert!(caches[0].settled_ms >= caches[1].settled_ms, "{caches:#?}");
}
