//! The API over HTTP: one file for each resource, and what holds for all of them.

mod agents;
mod audit;
mod auth;
mod body;
mod caches;
mod cancel;
mod dead_letters;
mod events;
mod flushes;
pub(crate) mod fuzzing;
mod gate;
mod invalidation;
mod invalidations;
mod latency;
mod openapi;
mod page;
mod parameters;
mod pauses;
mod publishers;
mod recent;
mod recording;
mod regions;
mod replays;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use daemon::Peer;
use futures::FutureExt;
use tower_service::Service;
use tracing::{error, warn};

use crate::audit::Trail;
use crate::caller::Caller;
use crate::handle::{Decision, NotOrdered, PublisherHandle, StatusError};
use crate::metrics::Metrics;
use crate::problem::{Kind, Refused};
use crate::tokens::{Act, TokenBook};
use auth::{Permits, permit};
use gate::{Gate, in_time};
use openapi::At;
use pauses::Bearers;
use recording::Recording;

/// A path of the API, with what can be done there.
struct Resource {
    path: &'static str,
    methods: MethodRouter<PublisherHandle>,
    /// What a token needs.
    permits: Permits,
    /// Writes it down for [`openapi`].
    describe: fn(At<'_>),
}

/// Every path of the API: what is not here is neither served nor written down.
fn resources() -> Vec<Resource> {
    let permits = |read, act| Permits { read, act };
    let resource = |path, methods, describe| Resource {
        path,
        methods,
        permits: permits(Act::Read, None),
        describe,
    };
    let acting = |act, path, methods, describe| Resource {
        path,
        methods,
        permits: permits(Act::Read, Some(act)),
        describe,
    };
    let auditing = |path, methods, describe| Resource {
        path,
        methods,
        permits: permits(Act::Audit, None),
        describe,
    };
    vec![
        resource(invalidations::PATH, invalidations::methods(), invalidations::describe),
        resource("/v1/invalidations/{id}", invalidation::methods(), invalidation::describe),
        acting(Act::Pause, "/v1/invalidations/{id}/cancel", cancel::methods(), cancel::describe),
        resource("/v1/regions", regions::methods(), regions::describe),
        resource("/v1/caches", caches::methods(), caches::describe),
        resource("/v1/latency", latency::methods(), latency::describe),
        resource("/v1/events", events::methods(), events::describe),
        acting(Act::Flush, "/v1/flushes", flushes::methods(), flushes::describe),
        acting(Act::Pause, "/v1/pauses", pauses::methods(), pauses::describe),
        acting(Act::Pause, "/v1/pauses/{id}", pauses::methods_of_one(), pauses::describe_one),
        resource("/v1/dead-letters", dead_letters::methods(), dead_letters::describe),
        acting(
            Act::DeadLetters,
            "/v1/dead-letters/retry",
            dead_letters::decided(Decision::Retry),
            dead_letters::describe_retry,
        ),
        acting(
            Act::DeadLetters,
            "/v1/dead-letters/drop",
            dead_letters::decided(Decision::Drop),
            dead_letters::describe_drop,
        ),
        resource(
            "/v1/dead-letters/{id}",
            dead_letters::methods_of_one(),
            dead_letters::describe_one,
        ),
        acting(
            Act::DeadLetters,
            "/v1/dead-letters/{id}/retry",
            dead_letters::decided_one(Decision::Retry),
            dead_letters::describe_retry_one,
        ),
        acting(
            Act::DeadLetters,
            "/v1/dead-letters/{id}/drop",
            dead_letters::decided_one(Decision::Drop),
            dead_letters::describe_drop_one,
        ),
        resource("/v1/agents", agents::methods(), agents::describe),
        acting(Act::Retire, "/v1/agents/{name}", agents::methods_of_one(), agents::describe_one),
        resource("/v1/publishers", publishers::methods(), publishers::describe),
        acting(
            Act::Retire,
            "/v1/publishers/{name}",
            publishers::methods_of_one(),
            publishers::describe_one,
        ),
        acting(Act::Replay, "/v1/replays", replays::methods(), replays::describe),
        acting(Act::Replay, "/v1/replays/{id}", replays::methods_of_one(), replays::describe_one),
        acting(
            Act::Replay,
            "/v1/replays/{id}/resume",
            replays::resumed(),
            replays::describe_resume,
        ),
        auditing("/v1/audit", audit::methods(), audit::describe),
        auditing(
            "/v1/audit/verification",
            audit::verification_methods(),
            audit::describe_verification,
        ),
        auditing(
            "/v1/audit/certificates/{id}",
            audit::certificate_methods(),
            audit::describe_certificate,
        ),
        resource("/openapi.json", openapi::methods(), openapi::describe),
    ]
}

/// The API: every path, behind one gate. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gate: Gate,
    trail: Trail,
    publisher: PublisherHandle,
    routes: Router,
}

impl Api {
    /// Without tokens, everyone may use it.
    pub(crate) fn new(
        publisher: PublisherHandle,
        tokens: Option<TokenBook>,
        metrics: Metrics,
    ) -> Self {
        let routes = resources()
            .into_iter()
            .fold(Router::new(), |router, Resource { path, methods, permits, .. }| {
                let permit = from_fn(move |request, next| permit(permits, request, next));
                router.route(path, methods.layer(permit))
            })
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(publisher.clone());
        let trail = publisher.trail().clone();
        Self(Arc::new(Shared { gate: Gate { tokens, metrics }, trail, publisher, routes }))
    }

    /// Answers a request, whatever it is. Routed handlers find who asks as [`Caller`] and as [`Peer`].
    pub(crate) async fn answer(self, peer: Peer, request: Request) -> Response {
        let gate = &self.0.gate;
        let mut recording = Recording::of(&self.0.trail, peer.clone(), &request);
        let response = {
            // Pinned here, since whoever takes a future by value copies all of it.
            let answering = pin!(async {
                match gate.admit(request.headers(), request.uri(), self.0.publisher.now()) {
                    Ok(caller) => self.route(caller, peer, &mut recording, request).await,
                    Err(refused) => refused.into_response(),
                }
            });
            gate.watch(answering).await
        };
        if recording.tells(&response) { recording.end(response).await } else { response }
    }

    /// To publish takes the short way: it is nearly all that is asked, and a router costs it about as much as reading
    /// and checking what it says.
    async fn route(
        &self,
        caller: Caller,
        peer: Peer,
        recording: &mut Recording<'_>,
        mut request: Request,
    ) -> Response {
        recording.admit(&caller);
        if recording::publishes(&request) {
            let origin = recording.origin();
            return invalidations::publish(&self.0.publisher, &caller, origin, request)
                .await
                .into_response();
        }
        if recording.acts() {
            if !self.0.trail.works() {
                let detail = "the audit trail cannot be written, and nothing is ordered unseen; repeat later";
                return Refused::new(Kind::Unavailable, detail).into_response();
            }
            request = recording.begin(request);
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Bearers(self.0.gate.tokens.clone()));
        let mut routes = self.0.routes.clone();
        in_time(routes.call(request).map(|Ok(response)| response)).await
    }
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

impl From<NotOrdered> for Refused {
    fn from(error: NotOrdered) -> Self {
        match error {
            NotOrdered::Invalid(mistakes) => Self::mistakes(Kind::Invalid, mistakes),
            NotOrdered::Order(error) => {
                warn!(error = crate::error_chain(&error), "not ordered");
                Self::new(Kind::Unavailable, format!("{error}; repeat later"))
            }
        }
    }
}
