//! `POST /v1/invalidations/{id}/cancel`: lanes that have not begun it leave it.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::{MethodRouter, post};
use schemas::api::Cancelled;
use uuid::Uuid;

use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{NotCancelled, PublisherHandle};
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    post(cancel)
}

pub(super) fn describe(mut at: At<'_>) {
    at.post("cancel_invalidation", "Orders that caches leave what they have not begun")
        .answers::<Cancelled>(200, "Every cache has settled it: there is nothing left to cancel")
        .answers::<Cancelled>(202, "It is ordered, and how far it had come by then")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

async fn cancel(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<(StatusCode, Json<Cancelled>), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let Ok(Path(id)) = id else { return Err(NotCancelled::Unknown.into()) };
    let may = |site: &_| {
        if !caller.reads(site) {
            return Err(NotCancelled::Unknown);
        }
        caller.may_stop(Some(site)).map_err(NotCancelled::Forbidden)
    };
    let cancelled = publisher.cancel(id, caller.name(), may).await?;
    let status = if cancelled.ordered { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(cancelled)))
}

impl From<NotCancelled> for Refused {
    fn from(error: NotCancelled) -> Self {
        match error {
            NotCancelled::Unknown => {
                let detail =
                    "neither this publisher's journal nor the log has an invalidation of that id";
                Self::new(Kind::NotFound, detail)
            }
            NotCancelled::Forbidden(detail) => Self::new(Kind::Forbidden, detail),
            NotCancelled::Status(error) => error.into(),
            NotCancelled::Order(error) => error.into(),
        }
    }
}
