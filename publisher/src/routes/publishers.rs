//! `GET /v1/publishers`, `DELETE /v1/publishers/{name}`: who speaks, and who is gone for good.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, delete, get};
use schemas::PublisherName;
use schemas::api::{Page, PublisherSummary};

use super::agents::{force, refused, unknown};
use super::openapi::At;
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    delete(retire)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_publishers", "Who publishes")
        .answers::<Page<PublisherSummary>>(200, "One row per publisher")
        .refuses(&[Kind::Malformed]);
}

pub(super) fn describe_one(mut at: At<'_>) {
    at.delete(
        "retire_publisher",
        "Says that a publisher is gone for good: what is missing on its lines is lost",
    )
    .query::<bool>("force", "even though it is alive")
    .answers::<PublisherSummary>(200, "It is retired")
    .refuses(&[Kind::Malformed, Kind::NotFound, Kind::Alive]);
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
