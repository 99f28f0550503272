//! `POST /v1/flushes`: caches are emptied because a human says so.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{MethodRouter, post};
use schemas::api::{FlushOrdered, FlushRequest};

use super::body;
use super::invalidations::idempotency_key;
use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{PublisherHandle, Repeatable};
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    post(flush)
}

pub(super) fn describe(mut at: At<'_>) {
    at.post("flush", "Orders that caches are flushed now")
        .header("Idempotency-Key", "the same key with the same request is the same order")
        .takes::<FlushRequest>()
        .answers::<FlushOrdered>(202, "It is ordered, and who will flush")
        .refuses(&[Kind::Malformed, Kind::TooSlow, Kind::TooLarge, Kind::MediaType, Kind::Invalid]);
}

async fn flush(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<FlushOrdered>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let key = idempotency_key(&headers)?;
    let request: FlushRequest = body::typed(&headers, body).await?;
    let repeatable = key.map(|key| Repeatable { caller: caller.name(), key });
    let ordered = publisher.flush(&request, repeatable).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}
