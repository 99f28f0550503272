//! `GET /v1/caches`: one row per lane.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::api::{CacheSummary, Page};

use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::Refused;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<CacheSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.caches(), next_cursor: None }))
}
