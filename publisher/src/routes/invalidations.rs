//! `POST /v1/invalidations`: publishes, and waits for progress if asked to.

use std::pin::pin;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use futures::FutureExt;
use humantime_serde::re::humantime;
use schemars::JsonSchema;
use schemas::api::{Accepted, DryRun, InvalidationRequest, Progress, ProgressState};
use tokio::time::timeout;

use super::body;
use super::gate::in_time;
use super::openapi::At;
use super::parameters::Parameters;
use super::recent;
use crate::audit::Origin;
use crate::caller::Caller;
use crate::handle::{AcceptError, PublisherHandle};
use crate::intake;
use crate::problem::{Kind, Refused};
use crate::tracker::Until;

/// Where invalidations are published and listed.
pub(super) const PATH: &str = "/v1/invalidations";

const WAIT_MAX: Duration = Duration::from_mins(2);
/// Waits as long as this where no `timeout` is given.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);
const FINAL_WITHIN: Duration = Duration::from_secs(100);
/// The journal takes at most this long, or the answer is "repeat".
const ACCEPT_WITHIN: Duration = Duration::from_secs(20);
const KEY_HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    post(publish_by_route).get(recent::list)
}

pub(super) fn describe(mut at: At<'_>) {
    recent::describe(&mut at);
    at.post("publish", "Publishes an invalidation")
        .header("Idempotency-Key", "the same key with the same request gets the same id for 24 h")
        .query::<Until>("wait", "waits until it has come so far")
        .query::<String>("timeout", "waits no longer than this, such as 5s; at most 120s")
        .query::<bool>("dry_run", "publishes nothing")
        .takes::<InvalidationRequest>()
        .answers::<Done>(
            200,
            "It has come as far as `wait` says, or is blocked; or what `dry_run` shows",
        )
        .answers::<Taken>(202, "It is accepted; with `wait`, how far it has come so far")
        .refuses(&[
            Kind::Malformed,
            Kind::TooSlow,
            Kind::TooLarge,
            Kind::MediaType,
            Kind::Invalid,
            Kind::Conflict,
            Kind::Overdrawn,
            Kind::Paused,
        ]);
}

/// Body of `200`.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum Done {
    Progress(Progress),
    DryRun(DryRun),
}

/// Body of `202`.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum Taken {
    Accepted(Accepted),
    Progress(Progress),
}

/// How to publish.
#[derive(Debug)]
pub(super) struct Manner {
    dry_run: bool,
    wait: Option<(Until, Duration)>,
}

async fn publish_by_route(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refused> {
    publish(&publisher, &caller, Origin::inside(caller.name()), request).await
}

/// Publishes what `request` says.
pub(super) async fn publish(
    publisher: &PublisherHandle,
    caller: &Caller,
    origin: Origin<'_>,
    request: Request,
) -> Result<Response, Refused> {
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let manner = Manner::read(&uri)?;
    let key = idempotency_key(&headers)?;
    let (request, misread) = intake::read(body::json(&headers, body).await?);
    if !misread.is_empty() {
        return Err(Refused::mistakes(
            Kind::Invalid,
            publisher.mistakes(caller, &request, misread),
        ));
    }
    if manner.dry_run {
        return Ok(Json(publisher.dry_run(caller, &request)?).into_response());
    }
    let accepting = pin!(publisher.accept_of(caller, origin, &request, key));
    let accepted = timeout(ACCEPT_WITHIN, accepting)
        .await
        .map_err(|_| Refused::new(Kind::Unavailable, "the journal is too slow; repeat later"))?
        .map_err(Refused::from)?;
    match manner.wait {
        None => Ok((StatusCode::ACCEPTED, Json(accepted)).into_response()),
        Some((until, patience)) => {
            let waiting = wait(publisher, accepted, until, patience);
            Ok(Box::pin(in_time(waiting.map(IntoResponse::into_response))).await)
        }
    }
}

async fn wait(
    publisher: &PublisherHandle,
    accepted: Accepted,
    until: Until,
    patience: Duration,
) -> Result<Response, Refused> {
    let Some(progress) = publisher.wait(accepted.id, until, patience).await? else {
        // A repeated request whose first has left the journal long ago.
        return Ok((StatusCode::ACCEPTED, Json(accepted)).into_response());
    };
    let reached = match progress.state {
        ProgressState::Final | ProgressState::Blocked => true,
        ProgressState::Applied => until == Until::Applied,
        ProgressState::Published | ProgressState::NoAgents => false,
    };
    let status = if reached { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(progress)).into_response())
}

impl Manner {
    pub(super) fn read(uri: &Uri) -> Result<Self, Refused> {
        let mut parameters = Parameters::read(uri, &["wait", "timeout", "dry_run"]);
        let dry_run = parameters.value("dry_run", "give true or false").unwrap_or(false);
        let until = match parameters.text("wait") {
            None => None,
            Some("applied") => Some(Until::Applied),
            Some("final") => Some(Until::Final),
            Some(_) => {
                parameters.mistake("wait", "is neither applied nor final");
                None
            }
        };
        let patience = parameters
            .value::<humantime::Duration>("timeout", "give a duration such as 5s")
            .map(Duration::from);
        if patience.is_some_and(|patience| patience > WAIT_MAX) {
            parameters.mistake("timeout", "is longer than 120s; ask again for the progress then");
        }
        if patience.is_some() && parameters.text("wait").is_none() {
            parameters.mistake("timeout", "goes with wait only; give wait=applied or wait=final");
        }
        parameters.finish()?;
        let default = |until| match until {
            Until::Applied => APPLIED_WITHIN,
            Until::Final => FINAL_WITHIN,
        };
        let wait = until.map(|until| (until, patience.unwrap_or_else(|| default(until))));
        Ok(Self { dry_run, wait })
    }
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut given = headers.get_all(KEY_HEADER).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    if key.is_none() || given.next().is_some() {
        let detail = "give one Idempotency-Key of 1 to 255 printable ASCII characters";
        return Err(Refused::new(Kind::Malformed, detail));
    }
    Ok(key)
}

impl From<AcceptError> for Refused {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Invalid(mistakes) => Self::mistakes(Kind::Invalid, mistakes),
            AcceptError::Conflict => Self::new(
                Kind::Conflict,
                "another body came under this Idempotency-Key within 24 h; take a new key",
            ),
            AcceptError::Forbidden(mistakes) => Self::mistakes(Kind::Forbidden, mistakes),
            AcceptError::Overdrawn(overdrawn) => overdrawn.into(),
            AcceptError::Paused(paused) => (*paused).into(),
            AcceptError::Unavailable(why) => Self::new(Kind::Unavailable, why),
        }
    }
}
