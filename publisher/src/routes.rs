//! The API over HTTP: one file for each resource, and what holds for all of them.

mod agents;
mod auth;
mod body;
mod caches;
mod events;
mod flushes;
mod gate;
mod invalidation;
mod invalidations;
mod latency;
mod openapi;
mod parameters;
mod publishers;
mod recent;
mod regions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use tracing::{error, warn};

use crate::handle::{PublisherHandle, StatusError};
use crate::metrics::Metrics;
use crate::problem::{Kind, Refused};
use crate::tokens::TokenBook;
use gate::Gate;
use openapi::At;

/// A path of the API, with what can be done there.
struct Resource {
    path: &'static str,
    methods: MethodRouter<PublisherHandle>,
    /// Writes it down for [`openapi`].
    describe: fn(At<'_>),
}

/// Every path of the API: what is not here is neither served nor written down.
fn resources() -> Vec<Resource> {
    let resource = |path, methods, describe| Resource { path, methods, describe };
    vec![
        resource("/v1/invalidations", invalidations::methods(), invalidations::describe),
        resource("/v1/invalidations/{id}", invalidation::methods(), invalidation::describe),
        resource("/v1/regions", regions::methods(), regions::describe),
        resource("/v1/caches", caches::methods(), caches::describe),
        resource("/v1/latency", latency::methods(), latency::describe),
        resource("/v1/events", events::methods(), events::describe),
        resource("/v1/flushes", flushes::methods(), flushes::describe),
        resource("/v1/agents", agents::methods(), agents::describe),
        resource("/v1/agents/{name}", agents::methods_of_one(), agents::describe_one),
        resource("/v1/publishers", publishers::methods(), publishers::describe),
        resource("/v1/publishers/{name}", publishers::methods_of_one(), publishers::describe_one),
        resource("/openapi.json", openapi::methods(), openapi::describe),
    ]
}

/// Every route. Without tokens, everyone may use them.
pub(crate) fn router(
    handle: PublisherHandle,
    tokens: Option<TokenBook>,
    metrics: Metrics,
) -> Router {
    let all = resources()
        .into_iter()
        .fold(Router::new(), |router, resource| router.route(resource.path, resource.methods));
    all.fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(handle)
        .layer(from_fn_with_state(Arc::new(Gate { tokens, metrics }), gate::pass))
}

async fn not_found(uri: Uri) -> Refused {
    Refused::new(Kind::NotFound, format!("there is nothing at {}; see docs/api.md", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refused {
    let detail = format!("{method} does not go with {}; Allow names what does", uri.path());
    Refused::new(Kind::MethodNotAllowed, detail)
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
