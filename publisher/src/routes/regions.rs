//! `GET /v1/regions`: one row per region.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::api::{Page, RegionSummary};

use super::openapi::At;
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_regions", "How each region does")
        .answers::<Page<RegionSummary>>(200, "One row per region")
        .refuses(&[Kind::Malformed]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<RegionSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.regions(), next_cursor: None }))
}
