//! `GET /v1/dead-letters` and `GET /v1/dead-letters/{id}`; `POST .../{id}/retry` and `.../{id}/drop` for one,
//! `POST /v1/dead-letters/retry` and `/v1/dead-letters/drop` for several.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{MethodRouter, get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use schemas::api::{
    DeadLetterPage, DeadLetterSummary, DeadLettersOrdered, DeadLettersRequest, DropRequest,
};
use schemas::{AgentName, CacheName, ChosenLetters, Region, SiteName};
use uuid::Uuid;

use super::auth::Caller;
use super::body;
use super::invalidations::idempotency_key;
use super::openapi::{At, Operation};
use super::parameters::Parameters;
use crate::handle::{Decision, FlushError, LettersRequest, PublisherHandle, Repeatable};
use crate::problem::{Kind, Refused};

/// Rows of a page where no `limit` is given, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;

const PARAMETERS: [&str; 7] = ["region", "agent", "cache", "site", "text", "limit", "cursor"];

/// The first byte of a cursor: another one has another meaning.
const CURSOR_VERSION: u8 = 2;
const TIME_BYTES: usize = 16;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    get(one)
}

pub(super) fn methods_of_retry() -> MethodRouter<PublisherHandle> {
    post(retry)
}

pub(super) fn methods_of_drop() -> MethodRouter<PublisherHandle> {
    post(give_up)
}

pub(super) fn methods_of_retry_one() -> MethodRouter<PublisherHandle> {
    post(retry_one)
}

pub(super) fn methods_of_drop_one() -> MethodRouter<PublisherHandle> {
    post(give_up_one)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_dead_letters", "What healthy caches refused, newest first")
        .query::<Region>("region", "of agents there")
        .query::<AgentName>("agent", "of this agent")
        .query::<CacheName>("cache", "of caches of this name")
        .query::<SiteName>("site", "of this site")
        .query::<String>("text", "whose selector or reason holds this text")
        .query::<usize>("limit", "at most so many rows: 1 to 200; left out: 50")
        .query::<String>("cursor", "the `next_cursor` of the page before, with the same filters")
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
    uri: Uri,
) -> Result<Json<DeadLetterPage>, Refused> {
    let mut parameters = Parameters::read(&uri, &PARAMETERS);
    let chosen = ChosenLetters {
        ids: Vec::new(),
        region: parameters.region("region", &publisher),
        agent: parameters.validated("agent"),
        cache: parameters.validated("cache"),
        site: parameters.site("site", &publisher),
        text: parameters.text("text").map(str::to_owned),
    };
    let limit = parameters.limit(LIMIT, LIMIT_MAX);
    let after = parameters.text("cursor").map(place_of);
    if after == Some(None) {
        parameters.mistake("cursor", "is none that this API gives; begin without one");
    }
    parameters.finish()?;
    let request = LettersRequest { chosen, limit, after: after.flatten() };
    let (page, next) = publisher.dead_letters(request);
    Ok(Json(DeadLetterPage { next_cursor: next.map(cursor), ..page }))
}

async fn one(
    State(publisher): State<PublisherHandle>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<DeadLetterSummary>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let letter = id.ok().and_then(|Path(id)| publisher.dead_letter(id));
    letter.map(Json).ok_or_else(unknown)
}

fn unknown() -> Refused {
    let detail = "there is no dead letter of that name, or no agent tells of it; \
                  GET /v1/dead-letters lists them";
    Refused::new(Kind::NotFound, detail)
}

async fn retry_one(
    State(publisher): State<PublisherHandle>,
    Extension(Caller(caller)): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let Path(id) = id.map_err(|_| unknown())?;
    decide_one(Decision::Retry, &publisher, &caller, id, None, &headers).await
}

async fn give_up_one(
    State(publisher): State<PublisherHandle>,
    Extension(Caller(caller)): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let DropRequest { reason } = body::typed(&headers, body).await?;
    let Path(id) = id.map_err(|_| unknown())?;
    decide_one(Decision::Drop, &publisher, &caller, id, Some(reason), &headers).await
}

async fn decide_one(
    decision: Decision,
    publisher: &PublisherHandle,
    caller: &str,
    id: Uuid,
    reason: Option<String>,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    let repeatable = idempotency_key(headers)?.map(|key| Repeatable { caller, key });
    let request = DeadLettersRequest { ids: vec![id], reason, ..DeadLettersRequest::default() };
    match publisher.decide(decision, &request, caller, repeatable).await {
        Err(FlushError::Invalid(mistakes)) if mistakes.iter().all(|it| it.pointer == "/ids") => {
            Err(unknown())
        }
        ordered => Ok((StatusCode::ACCEPTED, Json(ordered?))),
    }
}

async fn retry(
    publisher: State<PublisherHandle>,
    caller: Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    decide(Decision::Retry, publisher, caller, uri, headers, body).await
}

async fn give_up(
    publisher: State<PublisherHandle>,
    caller: Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    decide(Decision::Drop, publisher, caller, uri, headers, body).await
}

async fn decide(
    decision: Decision,
    State(publisher): State<PublisherHandle>,
    Extension(Caller(caller)): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeadLettersOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let key = idempotency_key(&headers)?;
    let request: DeadLettersRequest = body::typed(&headers, body).await?;
    let repeatable = key.map(|key| Repeatable { caller: &caller, key });
    let ordered = publisher.decide(decision, &request, &caller, repeatable).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}

fn cursor((first_seen, id): (Timestamp, Uuid)) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend(first_seen.as_nanosecond().to_be_bytes());
    bytes.extend(id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn place_of(cursor: &str) -> Option<(Timestamp, Uuid)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, place) = bytes.split_first()?;
    let (time, id) = place.split_first_chunk::<TIME_BYTES>()?;
    let time = Timestamp::from_nanosecond(i128::from_be_bytes(*time)).ok()?;
    (*version == CURSOR_VERSION).then(|| Some((time, Uuid::from_slice(id).ok()?)))?
}
