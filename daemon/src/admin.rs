//! The admin port: `/health/live`, `/health/ready`, `/metrics`.
//!
//! Metrics are registered under their full names (`purgebus_holes`); counters without `_total`, which the text adds.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::{BindError, BoxError, Health, HttpServer, PortMetrics, Readiness, Stop, TlsBook};

/// Probes and scrapers are few; more than this is a mistake or an attack.
const CONNECTIONS_MAX: usize = 64;
/// From one address.
const PER_ADDRESS_MAX: usize = 32;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin server of a process.
#[derive(Debug)]
pub struct Admin {
    server: HttpServer,
    shown: Shown,
}

#[derive(Debug, Clone)]
struct Shown {
    health: Health,
    metrics: Arc<Mutex<Registry>>,
}

impl Admin {
    /// Binds `listen` now, so that a taken port is an error before anything else starts.
    pub async fn bind(
        listen: SocketAddr,
        health: Health,
        metrics: Arc<Mutex<Registry>>,
    ) -> Result<Self, BindError> {
        let server = HttpServer::bind(listen, CONNECTIONS_MAX).await?.per_address(PER_ADDRESS_MAX);
        Ok(Self { server, shown: Shown { health, metrics } })
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn over_tls(self, tls: TlsBook) -> Self {
        Self { server: self.server.over_tls(tls), ..self }
    }

    /// Counts its connections there.
    #[must_use]
    pub fn counted(self, metrics: PortMetrics) -> Self {
        Self { server: self.server.counted(metrics), ..self }
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until stopped.
    pub async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let router = Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self.shown)
            .layer(axum::middleware::map_response(never_stored));
        self.server.run(router, stop).await
    }
}

/// A cached health answer is a false one.
async fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

async fn ready(State(shown): State<Shown>) -> (StatusCode, Json<Value>) {
    let conditions = shown.health.conditions();
    let state =
        conditions.iter().map(|(_, readiness)| word(readiness)).max().unwrap_or(Word::Ready);
    let status = match state {
        Word::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        Word::Degraded | Word::Ready => StatusCode::OK,
    };
    let conditions: Vec<_> =
        conditions.iter().map(|(name, readiness)| row(name, readiness)).collect();
    (status, Json(json!({"state": state.as_str(), "conditions": conditions})))
}

fn row(name: &str, readiness: &Readiness) -> Value {
    let detail = match readiness {
        Readiness::Ready => Value::Null,
        Readiness::Degraded(why) | Readiness::NotReady(why) => why.as_str().into(),
    };
    json!({"name": name, "state": word(readiness).as_str(), "detail": detail})
}

/// A [`Readiness`] without its reason; the worst is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Ready,
    Degraded,
    NotReady,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not_ready",
        }
    }
}

fn word(readiness: &Readiness) -> Word {
    match readiness {
        Readiness::Ready => Word::Ready,
        Readiness::Degraded(_) => Word::Degraded,
        Readiness::NotReady(_) => Word::NotReady,
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let mut text = String::new();
    let encoded = encode(&mut text, &shown.metrics.lock());
    match encoded {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
