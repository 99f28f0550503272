//! `GET /v1/caches`: one row per lane.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::api::{CacheSummary, Page};

use super::openapi::At;
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_caches", "How each cache does")
        .answers::<Page<CacheSummary>>(200, "One row per lane")
        .refuses(&[Kind::Malformed]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<CacheSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.caches(), next_cursor: None }))
}
