//! What the driver makes of the answers that it gets, and of servers that are no edge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::driver::PurgeError;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tests::servers::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::world::{Edge, driver_of, purge};

const A: &str = "www.example.com/a";
const ONE: &str = "0.1.0 67e55044-10b1-426f-9247-bb680e5fe0c8";
const OTHER: &str = "0.1.0 67e55044-10b1-426f-9247-bb680e5fe0c9";

type Answer = (StatusCode, HeaderMap, &'static str);

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    (StatusCode::from_u16(status).unwrap(), headers.iter().map(field).collect(), body)
}

/// A server that gives these answers in turn, whatever it is asked.
async fn scripted(answers: Vec<Answer>) -> (SocketAddr, JoinSet<()>) {
    let (answers, asked) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
    let router = Router::new().fallback(move || {
        let at = asked.fetch_add(1, Ordering::SeqCst) % answers.len();
        std::future::ready(answers[at].clone())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, server)
}

/// The error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", told(source)));
    format!("{error}{}", source.unwrap_or_default())
}

#[tokio::test]
async fn only_what_an_edge_says_counts() {
    let edge = ("purgebus-edge", ONE);
    for (answer, expected) in [
        (answer(200, &[], "purged"), "cache unavailable: http://"),
        (answer(404, &[], ""), "is no edge: it answered PURGE with 404 Not Found"),
        (answer(200, &[("purgebus-edge", "1")], ""), "is no edge"),
        (answer(403, &[edge], "only this machine may purge\n"), "cache refused: http://"),
        (
            answer(400, &[edge], "line 1 is not a selector\n"),
            "400 Bad Request: line 1 is not a selector",
        ),
        (answer(413, &[edge], ""), "cache refused"),
        (answer(429, &[edge], ""), "cache unavailable"),
        (answer(500, &[edge], ""), "cache unavailable"),
        (answer(302, &[edge, ("location", "/")], ""), "cache unavailable"),
    ] {
        let (address, _server) = scripted(vec![answer.clone()]).await;
        let driver = driver_of(address);
        let error = purge(&*driver, A).await.expect_err("no purge");
        assert!(told(&error).contains(expected), "{answer:?}: {}", told(&error));
        let error = driver.abilities().await.expect_err("no edge");
        assert!(matches!(error, PurgeError::Unavailable { .. }), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn it_leaves_an_edge_alone_for_as_long_as_it_asks() {
    let busy = answer(503, &[("purgebus-edge", ONE), ("retry-after", "7")], "");
    let (address, _server) = scripted(vec![busy]).await;
    let error = purge(&*driver_of(address), A).await.expect_err("busy");
    let expected = Duration::from_secs(7);
    assert!(
        matches!(error, PurgeError::Unavailable { after: Some(after), .. } if after == expected)
    );
}

#[tokio::test]
async fn two_edges_behind_one_address_are_not_taken_for_one() {
    let of = |identity| answer(200, &[("purgebus-edge", identity)], "");
    let (address, _server) = scripted(vec![of(ONE), of(OTHER)]).await;
    let error = driver_of(address).abilities().await.expect_err("two");
    assert!(told(&error).contains("cache unavailable: two edges answer at"), "{}", told(&error));
}

#[tokio::test]
async fn a_silent_server_costs_bounded_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = driver_of(silent.local_addr().unwrap());
    let purged = timeout(Duration::from_secs(5), purge(&*driver, A)).await.expect("in time");
    let error = purged.expect_err("silent");
    assert!(told(&error).ends_with("did not answer within 500ms"), "{}", told(&error));
}

#[tokio::test]
async fn a_connection_that_the_edge_closed_meanwhile_costs_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = driver_of(listener.local_addr().unwrap());
    for connection in ["a new one", "not the kept one, which is closed"] {
        let serve_one = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
            let answer =
                format!("HTTP/1.1 200 OK\r\npurgebus-edge: {ONE}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let both = async { tokio::join!(purge(&*driver, A), serve_one) };
        let (purged, stream) = timeout(Duration::from_secs(5), both).await.expect(connection);
        purged.expect(connection);
        drop(stream);
    }
}

#[tokio::test]
async fn a_purge_never_reaches_the_origin() {
    let origin = Origin::start().await;
    origin.answer_purges(StatusCode::OK);
    let edge = Edge::before(origin.address()).await;
    let method = reqwest::Method::from_bytes(b"PURGE").unwrap();
    let response = edge.request(method.clone(), A).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.headers().contains_key("purgebus-edge"));
    edge.purge(A).await;
    assert_eq!(origin.requests(&method, A), 0);
}
