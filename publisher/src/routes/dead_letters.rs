//! `GET /v1/dead-letters` and `GET /v1/dead-letters/{id}`; `POST .../{id}/retry` and `.../{id}/drop` for one,
//! `POST /v1/dead-letters/retry` and `/v1/dead-letters/drop` for several.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{MethodRouter, get, post};
use jiff::Timestamp;
use schemas::api::{
    DeadLetterPage, DeadLetterSummary, DeadLettersOrdered, DeadLettersRequest, DropRequest,
};
use schemas::{AgentName, CacheName, ChosenLetters, Region, SiteName};
use uuid::Uuid;

use super::body;
use super::invalidations::idempotency_key;
use super::openapi::{At, Operation};
use super::page::cursor;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{Decision, LettersRequest, NotOrdered, PublisherHandle, Repeatable};
use crate::problem::{Kind, Refused};

const PARAMETERS: [&str; 7] = ["region", "agent", "cache", "site", "text", "limit", "cursor"];

pub(super) const CURSOR_VERSION: u8 = 2;
const TIME_BYTES: usize = 16;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    get(one)
}

/// Decides about several.
pub(super) fn decided(decision: Decision) -> MethodRouter<PublisherHandle> {
    post(async move |publisher, caller, uri, headers, body| {
        decide(decision, publisher, caller, uri, headers, body).await
    })
}

/// Decides about one.
pub(super) fn decided_one(decision: Decision) -> MethodRouter<PublisherHandle> {
    post(async move |publisher, caller, id, uri, headers, body| {
        decide_one(decision, publisher, caller, id, uri, headers, body).await
    })
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_dead_letters", "What healthy caches refused, newest first")
        .query::<Region>("region", "of agents there")
        .query::<AgentName>("agent", "of this agent")
        .query::<CacheName>("cache", "of caches of this name")
        .query::<SiteName>("site", "of this site")
        .query::<String>("text", "whose selector or reason holds this text")
        .paged()
        .answers::<DeadLetterPage>(200, "A page, as far as agents tell of them")
        .refuses(&[Kind::Malformed]);
}

pub(super) fn describe_one(mut at: At<'_>) {
    at.get("get_dead_letter", "One selector that a healthy cache refused")
        .answers::<DeadLetterSummary>(200, "How it stands")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

pub(super) fn describe_retry(mut at: At<'_>) {
    let operation = at.post("retry_dead_letters", "Orders that dead letters are purged again");
    describe_order(operation.takes::<DeadLettersRequest>());
}

pub(super) fn describe_drop(mut at: At<'_>) {
    let operation = at.post("drop_dead_letters", "Orders that dead letters are given up");
    describe_order(operation.takes::<DeadLettersRequest>());
}

pub(super) fn describe_retry_one(mut at: At<'_>) {
    let operation = at.post("retry_dead_letter", "Orders that a dead letter is purged again");
    describe_order(operation.refuses(&[Kind::NotFound]));
}

pub(super) fn describe_drop_one(mut at: At<'_>) {
    let operation = at.post("drop_dead_letter", "Orders that a dead letter is given up");
    describe_order(operation.takes::<DropRequest>().refuses(&[Kind::NotFound]));
}

fn describe_order(operation: Operation<'_>) {
    operation
        .header("Idempotency-Key", "the same key with the same request is the same order")
        .answers::<DeadLettersOrdered>(202, "It is ordered, and whom it is for")
        .refuses(&[Kind::Malformed, Kind::TooSlow, Kind::TooLarge, Kind::MediaType, Kind::Invalid]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<DeadLetterPage>, Refused> {
    let mut parameters = Parameters::read(&uri, &PARAMETERS);
    let chosen = ChosenLetters {
        ids: Vec::new(),
        region: parameters.region("region", &publisher),
        agent: parameters.validated("agent"),
        cache: parameters.validated("cache"),
        site: parameters.site_of("site", &caller, &publisher),
        text: parameters.text("text").map(str::to_owned),
    };
    let limit = parameters.limit();
    let after = parameters.cursor(CURSOR_VERSION, place_of);
    parameters.finish()?;
    let request = LettersRequest { chosen, limit, after };
    let (page, next) = publisher.dead_letters(request);
    let next_cursor = next.map(cursor_of);
    Ok(Json(DeadLetterPage { next_cursor, ..page }))
}

async fn one(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<DeadLetterSummary>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let letter = id.ok().and_then(|Path(id)| publisher.dead_letter(id));
    letter.filter(|letter| caller.reads(&letter.site)).map(Json).ok_or_else(unknown)
}

fn unknown() -> Refused {
    let detail = "there is no dead letter of that name, or no agent tells of it; \
                  GET /v1/dead-letters lists them";
    Refused::new(Kind::NotFound, detail)
}

async fn decide_one(
    decision: Decision,
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let reason = match decision {
        Decision::Retry => None,
        Decision::Drop => Some(body::typed::<DropRequest>(&headers, body).await?.reason),
    };
    let Path(id) = id.map_err(|_| unknown())?;
    let repeatable =
        idempotency_key(&headers)?.map(|key| Repeatable { caller: caller.name(), key });
    let request = DeadLettersRequest { ids: vec![id], reason, ..DeadLettersRequest::default() };
    match publisher.decide(decision, &request, caller.name(), repeatable).await {
        Err(NotOrdered::Invalid(mistakes)) if mistakes.iter().all(|it| it.pointer == "/ids") => {
            Err(unknown())
        }
        ordered => Ok((StatusCode::ACCEPTED, Json(ordered?))),
    }
}

async fn decide(
    decision: Decision,
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let key = idempotency_key(&headers)?;
    let request: DeadLettersRequest = body::typed(&headers, body).await?;
    let repeatable = key.map(|key| Repeatable { caller: caller.name(), key });
    let ordered = publisher.decide(decision, &request, caller.name(), repeatable).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}

pub(super) fn cursor_of((time, id): (Timestamp, Uuid)) -> String {
    let place = [time.as_nanosecond().to_be_bytes(), id.into_bytes()].concat();
    cursor(CURSOR_VERSION, &place)
}

pub(super) fn place_of(cursor: &[u8]) -> Option<(Timestamp, Uuid)> {
    let (time, id) = cursor.split_first_chunk::<TIME_BYTES>()?;
    let time = Timestamp::from_nanosecond(i128::from_be_bytes(*time)).ok()?;
    Some((time, Uuid::from_slice(id).ok()?))
}
