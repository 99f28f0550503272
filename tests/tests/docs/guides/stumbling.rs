//! A way to a real publisher on which each purge stumbles once: the first request of a key is answered 503, what follows
//! is passed on.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The token that clients are given.
pub(super) const TOKEN: &str = "token-of-the-guides";

/// The way; it ends when dropped.
#[derive(Debug)]
pub(super) struct Stumbling {
    address: SocketAddr,
    way: Arc<Mutex<Way>>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Way {
    target: Option<SocketAddr>,
    seen: Vec<Seen>,
}

/// A request, and what it was answered.
#[derive(Debug)]
struct Seen {
    key: String,
    authorization: String,
    status: u16,
}

impl Stumbling {
    /// A way to nowhere yet.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let way = Arc::new(Mutex::new(Way::default()));
        let router = Router::new().fallback(pass).with_state(way.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, way, _server: server }
    }

    pub(super) fn leads_to(&self, target: SocketAddr) {
        self.way.lock().target = Some(target);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the requests of a key were answered, in their order.
    pub(super) fn answers_to(&self, key: &str) -> Vec<u16> {
        let way = self.way.lock();
        way.seen.iter().filter(|seen| seen.key == key).map(|seen| seen.status).collect()
    }

    /// All keys.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.way.lock().seen.iter().map(|seen| seen.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(super) fn every_token_came(&self) -> bool {
        let expected = format!("Bearer {TOKEN}");
        self.way.lock().seen.iter().all(|seen| seen.authorization == expected)
    }
}

async fn pass(
    State(way): State<Arc<Mutex<Way>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (key, authorization) = (text("idempotency-key"), text("authorization"));
    let (target, new) = {
        let way = way.lock();
        (way.target, !way.seen.iter().any(|seen| seen.key == key))
    };
    let (status, answer) = match target {
        Some(target) if !new => publish(target, &uri, &key, &text("content-type"), body).await,
        _ => (StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"stumbled")),
    };
    way.lock().seen.push(Seen { key, authorization, status: status.as_u16() });
    (status, answer).into_response()
}

async fn publish(
    target: SocketAddr,
    uri: &Uri,
    key: &str,
    content: &str,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let request = reqwest::Client::new().post(format!("http://{target}{uri}"));
    let request = request.header("idempotency-key", key).header("content-type", content);
    match request.body(body).send().await {
        Ok(answer) => (answer.status(), answer.bytes().await.unwrap_or_default()),
        Err(_) => (StatusCode::BAD_GATEWAY, Bytes::from_static(b"nobody is there")),
    }
}
