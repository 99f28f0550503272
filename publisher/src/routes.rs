//! The API over HTTP: one file for each resource, and what holds for all of them.

mod agents;
mod auth;
mod body;
mod caches;
mod invalidation;
mod invalidations;
mod parameters;
mod publishers;
mod regions;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{error, warn};

use crate::handle::{PublisherHandle, StatusError};
use crate::metrics::Metrics;
use crate::problem::{Kind, Reason, Refused};
use crate::tokens::Tokens;

/// No request takes longer: the longest wait for progress, and some.
const ANSWER_WITHIN: Duration = Duration::from_secs(150);

/// Every route. Without tokens, everyone may use them.
pub(crate) fn router(
    handle: PublisherHandle,
    tokens: Option<Arc<Tokens>>,
    metrics: Metrics,
) -> Router {
    Router::new()
        .route("/v1/invalidations", invalidations::methods())
        .route("/v1/invalidations/{id}", invalidation::methods())
        .route("/v1/regions", regions::methods())
        .route("/v1/caches", caches::methods())
        .route("/v1/agents", agents::methods())
        .route("/v1/agents/{name}", agents::methods_of_one())
        .route("/v1/publishers", publishers::methods())
        .route("/v1/publishers/{name}", publishers::methods_of_one())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(handle)
        .layer(from_fn_with_state(tokens, auth::require))
        .layer(from_fn(answer_in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(metrics, count))
}

async fn not_found(uri: Uri) -> Refused {
    Refused::new(Kind::NotFound, format!("there is nothing at {}; see docs/api.md", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refused {
    let detail = format!("{method} does not go with {}; Allow names what does", uri.path());
    Refused::new(Kind::MethodNotAllowed, detail)
}

async fn answer_in_time(request: Request, next: Next) -> Response {
    match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Refused::new(Kind::Unavailable, "no answer in time; repeat later").into_response()
        }
    }
}

async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(Reason(reason)) = response.extensions().get() {
        metrics.refused(reason);
    }
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(panic = text.unwrap_or("without a message"), "a request handler panicked");
    Refused::new(Kind::Internal, "see the publisher's log; repeating may help").into_response()
}

impl From<StatusError> for Refused {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Journal(_) => {
                error!(error = crate::error_chain(&error), "the journal cannot be read");
                Self::new(Kind::Unavailable, "the journal cannot be read; repeat later")
            }
            StatusError::Undecided { .. } => {
                warn!(error = crate::error_chain(&error), "a status is not known");
                Self::new(Kind::Unavailable, format!("{error}; repeat later"))
            }
        }
    }
}
