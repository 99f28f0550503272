//! Everything has a limit.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tests::servers::origin::{Origin, Page};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::world::{Edge, WWW, config, seen};

#[tokio::test]
async fn memory_is_bounded_and_the_least_recently_used_leave_first() {
    let origin = Origin::start().await;
    origin.publish_others(Page::default());
    let mut config = config(origin.address());
    config.capacity_bytes = 50_000;
    let edge = Edge::start(config).await;
    let url = |at: usize| format!("{WWW}/{at}");
    edge.get(&url(0)).await;
    for at in 1..100 {
        edge.get(&url(at)).await;
        edge.get(&url(0)).await;
    }
    let mut held = Vec::new();
    for at in 0..100 {
        if edge.peek(&url(at)).await.status == StatusCode::OK {
            held.push(at);
        }
    }
    assert!((10..40).contains(&held.len()), "about a kilobyte and a half each: {held:?}");
    let latest = 101 - held.len();
    let expected = std::iter::once(0).chain(latest..100).collect::<Vec<_>>();
    assert_eq!(held, expected, "the one in use, and the latest");
}

#[tokio::test]
async fn too_long_an_answer_is_a_bad_gateway_and_too_long_a_request_is_refused() {
    let origin = Origin::start().await;
    origin.publish_others(Page::default());
    let mut config = config(origin.address());
    config.body_bytes_max = 30;
    let edge = Edge::start(config).await;
    let fits = edge.request(Method::GET, "www.example.com/ab").send().await.unwrap();
    assert_eq!(fits.text().await.unwrap().len(), 29);
    let long = edge.request(Method::GET, "www.example.com/abcd").send().await.unwrap();
    assert_eq!(seen(&long).status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(&long).cache_status, "purgebus-edge; fwd=uri-miss");
    assert!(long.text().await.unwrap().contains("more than 30 bytes"));
    let body = "x".repeat(31);
    let refused = edge.request(Method::POST, "www.example.com/ab").body(body).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_origin_that_is_down_or_silent_costs_bounded_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut slow = config(silent.local_addr().unwrap());
    slow.origin_timeout = Duration::from_millis(100);
    let edge = Edge::start(slow).await;
    let url = "www.example.com/a";
    let seen = timeout(Duration::from_secs(5), edge.get(url)).await.expect("in time");
    assert_eq!(seen.status, StatusCode::GATEWAY_TIMEOUT);
    drop(silent);
    assert_eq!(edge.get(url).await.status, StatusCode::BAD_GATEWAY);
}
