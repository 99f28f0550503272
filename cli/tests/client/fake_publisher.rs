//! A publisher that says what it is told to say and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use daemon::{Crew, HttpServer, Stop};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) const ID: &str = "0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Value,
}

/// Answers posts and everything else from two lists, the last of each for ever.
#[derive(Debug)]
pub(crate) struct FakePublisher {
    pub(crate) url: String,
    script: Script,
    // Aborts the server when the test ends.
    _crew: Crew,
}

#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Scripted>>);

#[derive(Debug, Default)]
struct Scripted {
    posts: VecDeque<(u16, Value)>,
    gets: VecDeque<(u16, Value)>,
    asked: Vec<Asked>,
}

impl FakePublisher {
    pub(crate) async fn answering<const P: usize, const G: usize>(
        posts: [(u16, Value); P],
        gets: [(u16, Value); G],
    ) -> Self {
        let scripted = Scripted { posts: posts.into(), gets: gets.into(), asked: Vec::new() };
        let script = Script(Arc::new(Mutex::new(scripted)));
        let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), 64).await.expect("a free port");
        let url = format!("http://{}", server.local_addr());
        let mut crew = Crew::new(Stop::new());
        let router = Router::new().fallback(answer).with_state(script.clone());
        crew.spawn("fake publisher", server.run(router, crew.stop()));
        Self { url, script, _crew: crew }
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.0.lock().asked.clone()
    }

    /// The posts among it.
    pub(crate) fn posted(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| !asked.body.is_null()).collect()
    }
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut scripted = script.0.lock();
    scripted.asked.push(Asked {
        method: method.to_string(),
        path: uri.to_string(),
        token: header("authorization"),
        idempotency_key: header("idempotency-key"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let answers = if method == Method::POST { &mut scripted.posts } else { &mut scripted.gets };
    let (status, body) = match answers.len() {
        0 => (404, json!({"type": "about:blank", "title": "Not Found", "status": 404})),
        1 => answers[0].clone(),
        _ => answers.pop_front().expect("two or more"),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    match body["retry_after"].as_str().map(str::to_owned) {
        Some(pause) => (status, [(RETRY_AFTER, pause)], Json(body)).into_response(),
        None => (status, Json(body)).into_response(),
    }
}

/// The publisher has taken it.
pub(crate) fn accepted() -> (u16, Value) {
    let body = json!({
        "id": ID, "durable": "broker", "site": "main", "selectors": 1, "regions": ["eu-west"],
        "published_at": "2026-11-21T00:00:00Z", "status_url": format!("/v1/invalidations/{ID}"),
    });
    (202, body)
}

/// It has come this far.
pub(crate) fn progress(state: &str) -> (u16, Value) {
    let body = json!({
        "id": ID, "site": "main", "published_at": "2026-11-21T00:00:00Z", "mode": "hard",
        "priority": "normal", "selectors": {"urls": 1}, "state": state, "applied_at": null,
        "applied_ms": 12.4, "final_at": null, "final_ms": null, "clock": "one", "missing": [],
        "regions": [{"region": "eu-west", "state": state, "applied_ms": 12.4, "caches": [{
            "agent": "edge-1", "cache": "varnish", "outcome": "purged", "settled_ms": 11.9,
            "final_ms": null, "error": null,
        }]}],
    });
    (200, body)
}

/// It will not, or not now.
pub(crate) fn problem(status: u16, errors: &Value) -> (u16, Value) {
    let body = json!({
        "type": "about:blank", "title": "Wrong", "status": status, "detail": "look below",
        "errors": errors,
    });
    (status, body)
}
