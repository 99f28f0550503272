//! `/v1/pauses`: what waits because a human says so.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{MethodRouter, delete, post};
use schemas::api::{Page, PauseRequest, PauseSummary};
use schemas::{Paused, SiteName};
use uuid::Uuid;

use super::body;
use super::invalidations::idempotency_key;
use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{PublisherHandle, Repeatable};
use crate::problem::{Kind, Refused};
use crate::tokens::TokenBook;

/// Everyone who may use the API.
#[derive(Debug, Clone)]
pub(super) struct Bearers(pub(super) Option<TokenBook>);

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    post(pause).get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    delete(resume)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_pauses", "The pauses in force")
        .answers::<Page<PauseSummary>>(200, "All of them")
        .refuses(&[Kind::Malformed]);
    at.post("pause", "Lets purges, or a publisher's caller, wait for a while")
        .header("Idempotency-Key", "the same key with the same request is the same pause")
        .takes::<PauseRequest>()
        .answers::<PauseSummary>(202, "It is ordered, and which caches it holds up")
        .refuses(&[Kind::Malformed, Kind::TooSlow, Kind::TooLarge, Kind::MediaType, Kind::Invalid]);
}

pub(super) fn describe_one(mut at: At<'_>) {
    at.delete("resume", "Ends a pause")
        .answers::<PauseSummary>(200, "It was in force, and is not any more")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page<PauseSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let mut pauses = publisher.pauses().await?;
    pauses.retain(|pause| match &pause.what {
        Paused::Site(site) => caller.reads(site),
        Paused::Token(token) => caller.name() == token || caller.may_stop(None).is_ok(),
        Paused::Agent(_) | Paused::Cache { .. } => true,
    });
    let items = pauses.into_iter().map(|pause| publisher.pause_summary(pause)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

async fn pause(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    Extension(Bearers(bearers)): Extension<Bearers>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<PauseSummary>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let key = idempotency_key(&headers)?;
    let request: PauseRequest = body::typed(&headers, body).await?;
    let of_every_site = [&request.agent, &request.cache, &request.token];
    if of_every_site.into_iter().any(Option::is_some) {
        may_stop(&caller, None)?;
    }
    let tokens: BTreeSet<String> =
        bearers.iter().flat_map(|bearers| bearers.current().names()).collect();
    let wanted = publisher.wanted_pause(&request, &tokens);
    let wanted = wanted.map_err(|mistakes| Refused::mistakes(Kind::Invalid, mistakes))?;
    permitted(&caller, &wanted.what)?;
    let repeatable = key.map(|key| Repeatable { caller: caller.name(), key });
    let pause = publisher.pause(wanted, &request, caller.name(), repeatable).await?;
    Ok((StatusCode::ACCEPTED, Json(pause)))
}

async fn resume(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<PauseSummary>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let pauses = publisher.pauses().await?;
    let pause = id.ok().and_then(|Path(id)| pauses.into_iter().find(|pause| pause.id == id));
    let pause = pause.ok_or_else(|| {
        Refused::new(Kind::NotFound, "no pause of that name is in force; GET /v1/pauses lists them")
    })?;
    permitted(&caller, &pause.what)?;
    let summary = publisher.pause_summary(pause.clone());
    publisher.resume(&pause, caller.name()).await?;
    Ok(Json(summary))
}

fn permitted(caller: &Caller, what: &Paused) -> Result<(), Refused> {
    let site = match what {
        Paused::Site(site) => Some(site),
        Paused::Agent(_) | Paused::Cache { .. } | Paused::Token(_) => None,
    };
    may_stop(caller, site)
}

fn may_stop(caller: &Caller, site: Option<&SiteName>) -> Result<(), Refused> {
    caller.may_stop(site).map_err(|detail| Refused::new(Kind::Forbidden, detail))
}
