//! `POST /v1/replays` and `GET`; `GET` and `DELETE /v1/replays/{id}`, `POST .../{id}/resume`: what the log holds is
//! published again.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use schemas::api::{Page, Replay, ReplayDryRun, ReplayRequest};
use tracing::warn;
use uuid::Uuid;

use super::body;
use super::invalidations::idempotency_key;
use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};
use crate::replays::NotReplayed;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    post(replay).get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    get(one).delete(cancel)
}

/// Goes on with one.
pub(super) fn resumed() -> MethodRouter<PublisherHandle> {
    post(resume)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_replays", "Replays that run or ran lately, newest first")
        .answers::<Page<Replay>>(200, "All that are remembered")
        .refuses(&[Kind::Malformed]);
    at.post("replay", "Publishes again what the log holds")
        .header("Idempotency-Key", "the same key with the same request is the same replay")
        .query::<bool>("dry_run", "publishes nothing")
        .takes::<ReplayRequest>()
        .answers::<ReplayDryRun>(200, "What `dry_run` shows: how many there are, and the first")
        .answers::<Replay>(202, "It has begun")
        .refuses(&[
            Kind::Malformed,
            Kind::TooSlow,
            Kind::TooLarge,
            Kind::MediaType,
            Kind::Invalid,
            Kind::Overlap,
            Kind::Paused,
        ]);
}

pub(super) fn describe_one(mut at: At<'_>) {
    at.get("get_replay", "How far a replay has come")
        .answers::<Replay>(200, "How it stands")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
    at.delete("cancel_replay", "Stops a replay; it can be resumed")
        .answers::<Replay>(200, "It has stopped, or had ended before")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

pub(super) fn describe_resume(mut at: At<'_>) {
    at.post("resume_replay", "Goes on with a replay that was stopped, where it stopped")
        .answers::<Replay>(202, "It runs, or had ended before")
        .refuses(&[Kind::Malformed, Kind::NotFound, Kind::Overlap, Kind::Paused]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page<Replay>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.replays().list(&caller), next_cursor: None }))
}

async fn replay(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut parameters = Parameters::read(&uri, &["dry_run"]);
    let dry_run = parameters.value("dry_run", "give true or false").unwrap_or(false);
    parameters.finish()?;
    let key = idempotency_key(&headers)?;
    let request: ReplayRequest = body::typed(&headers, body).await?;
    if dry_run {
        let shown = publisher.replays().dry_run(&caller, &request).await?;
        return Ok(Json(shown).into_response());
    }
    let begun = publisher.replay(&caller, &request, key).await?;
    Ok((StatusCode::ACCEPTED, Json(begun)).into_response())
}

async fn one(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<Replay>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(publisher.replays().get(&caller, named(id)?)?))
}

async fn cancel(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<Replay>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(publisher.replays().cancel(&caller, named(id)?).await?))
}

async fn resume(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<(StatusCode, Json<Replay>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let resumed = publisher.resume_replay(&caller, named(id)?).await?;
    Ok((StatusCode::ACCEPTED, Json(resumed)))
}

fn named(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, NotReplayed> {
    id.map(|Path(id)| id).map_err(|_| NotReplayed::Unknown)
}

impl From<NotReplayed> for Refused {
    fn from(error: NotReplayed) -> Self {
        match error {
            NotReplayed::Invalid(mistakes) => Self::mistakes(Kind::Invalid, mistakes),
            NotReplayed::Forbidden(mistakes) => Self::mistakes(Kind::Forbidden, mistakes),
            NotReplayed::Overlaps(id) => {
                let detail = format!(
                    "the replay {id} is about some of the same and runs; wait until it has ended, or cancel it"
                );
                Self::new(Kind::Overlap, detail)
            }
            NotReplayed::Paused(paused) => (*paused).into(),
            NotReplayed::Unknown => {
                let detail = "there is no replay of that name here, or not any more; GET /v1/replays lists them";
                Self::new(Kind::NotFound, detail)
            }
            NotReplayed::Unavailable { .. } => {
                warn!(error = crate::error_chain(&error), "nothing is replayed");
                Self::new(Kind::Unavailable, format!("{error}; repeat later"))
            }
        }
    }
}
