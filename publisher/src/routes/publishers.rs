//! `GET /v1/publishers`, `DELETE /v1/publishers/{name}`: who speaks, and who is gone for good.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, delete, get};
use schemas::PublisherName;
use schemas::api::{Page, PublisherSummary};

use super::agents::{force, refused, unknown};
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::Refused;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    delete(retire)
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<PublisherSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.publishers(), next_cursor: None }))
}

async fn retire(
    State(publisher): State<PublisherHandle>,
    name: Result<Path<PublisherName>, PathRejection>,
    uri: Uri,
) -> Result<Json<PublisherSummary>, Refused> {
    let by_force = force(&uri)?;
    let Ok(Path(name)) = name else { return Err(unknown("publisher")) };
    let retired = publisher.retire_publisher(&name, by_force).await;
    retired.map(Json).map_err(|error| refused("publisher", &error))
}
