//! `GET /v1/invalidations/{id}`: how far one has come.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::api::Progress;
use uuid::Uuid;

use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(progress)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("get_invalidation", "How far an invalidation has come")
        .answers::<Progress>(200, "Its progress, per region and cache")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

async fn progress(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<Progress>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let unknown = |detail: &str| Refused::new(Kind::NotFound, detail);
    let Ok(Path(id)) = id else {
        return Err(unknown("an invalidation's id is a UUID, as the answer to its request told"));
    };
    let progress = publisher.progress(id).await?;
    let progress = progress.filter(|progress| caller.reads(&progress.facts.site));
    let detail = "neither this publisher's journal nor the log has it: nobody has accepted it, or longer ago than they \
                  keep it, or at a publisher that waits for its broker; ask that one";
    progress.map(Json).ok_or_else(|| unknown(detail))
}
