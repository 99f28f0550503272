//! Errors of HTTP itself, tokens and limits: each a problem with the right status and headers.

use std::sync::Arc;

use super::api::{Api, TOKENS, good};
use crate::{Outlet, Publisher, PublisherConfig, PublisherError, PublisherSetup};

#[tokio::test]
async fn what_is_not_there_or_cannot_be_done_is_a_problem_too() {
    let api = Api::start().await;
    assert_eq!(api.get("/nope").await.problem(404, "not_found"), []);
    let unknown = "/v1/invalidations/01993a00-0000-7000-8000-000000000000";
    assert_eq!(api.get(unknown).await.problem(404, "not_found"), []);
    assert_eq!(api.get("/v1/invalidations/7").await.problem(404, "not_found"), []);
    let answer = api.send("DELETE /v1/invalidations", "", b"").await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST,GET,HEAD"));
    let told = api.get("/v1/regions?limit=3").await.problem(400, "malformed");
    assert_eq!(told, [("?limit".to_owned(), "is not a parameter here; there are none".to_owned())]);
    assert!(api.metrics().contains("purgebus_refused_total{reason=\"not_found\"} 3"));
    api.end().await;
}

#[tokio::test]
async fn only_json_as_it_is_may_come() {
    let api = Api::start().await;
    let body = good().to_string();
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let answer = api.send("POST /v1/invalidations", headers, body.as_bytes()).await;
        assert_eq!(answer.problem(415, "media_type"), [], "{headers}");
    }
    let charset = "Content-Type: Application/JSON; charset=utf-8\r\n";
    assert_eq!(api.send("POST /v1/invalidations", charset, body.as_bytes()).await.status, 202);
    assert_eq!(api.published().await.len(), 1);
    api.end().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let api = Api::start().await;
    let padding = " ".repeat(256 * 1024 - good().to_string().len());
    let largest = format!("{}{padding}", good());
    assert_eq!(api.send_json("", "", largest.as_bytes()).await.status, 202);
    let larger = format!("{largest} ");
    let answer = api.send_json("", "", larger.as_bytes()).await;
    assert_eq!(answer.problem(413, "too_large"), []);
    let chunked = format!(
        "POST /v1/invalidations HTTP/1.1\r\nHost: bus\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{larger}\r\n0\r\n\r\n",
        larger.len()
    );
    assert_eq!(api.send_bytes(chunked.as_bytes()).await.problem(413, "too_large"), []);
    assert_eq!(api.published().await.len(), 1);
    api.end().await;
}

#[tokio::test]
async fn with_a_tokens_file_only_its_tokens_open_anything() {
    let api = Api::start_with(Some(TOKENS)).await;
    let body = good().to_string();
    for headers in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic test\r\n",
        "Authorization: test\r\n",
        "Authorization: Bearer \r\n",
    ] {
        let answer = api.send_json("", headers, body.as_bytes()).await;
        assert_eq!(answer.problem(401, "unauthorized"), [], "{headers}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"purgebus\""));
    }
    api.get("/v1/regions").await.problem(401, "unauthorized");
    api.get("/nope").await.problem(401, "unauthorized");
    assert_eq!(api.published().await, []);
    let token = "authorization: bearer test\r\n";
    assert_eq!(api.send_json("", token, body.as_bytes()).await.status, 202);
    assert_eq!(api.send("GET /v1/regions", token, b"").await.status, 200);
    api.end().await;
}

#[tokio::test]
async fn a_token_is_checked_before_the_body_is_read() {
    let api = Api::start_with(Some(TOKENS)).await;
    let head = "POST /v1/invalidations HTTP/1.1\r\nHost: bus\r\nConnection: close\r\n\
                Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    api.send_bytes(head.as_bytes()).await.problem(401, "unauthorized");
    api.end().await;
}

#[tokio::test]
async fn a_port_beyond_loopback_needs_tokens() {
    let clock = daemon::Clock::system();
    let store = crate::JournalStore::in_memory().unwrap();
    let log =
        broker_adapter::Embedded::in_memory(broker_adapter::EmbeddedConfig::default(), move || {
            clock.now()
        });
    let refused = Publisher::open(PublisherSetup {
        config: PublisherConfig { listen: ([0, 0, 0, 0], 0).into(), ..PublisherConfig::default() },
        name: "p1".parse().unwrap(),
        sites: Arc::default(),
        store,
        outlet: Outlet::Remote(Arc::new(log.unwrap())),
        trust: schemas::Trust::Anyone,
        partitions: 1,
        retention: std::time::Duration::from_hours(1),
        clock,
        health: daemon::Health::default(),
        metrics: Arc::default(),
    });
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, PublisherError::Exposed(_)));
    assert!(refused.to_string().contains("set publisher.tokens_file, or listen on 127.0.0.1"));
}
