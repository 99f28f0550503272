//! `GET /v1/latency`: how long purges take, with the histogram itself.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::Region;
use schemas::api::{LatencyReport, LatencyWindow};

use super::openapi::At;
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(latency)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("get_latency", "How long purges take, on this publisher's one clock")
        .query::<Region>("region", "of this region; left out: of all regions together")
        .query::<LatencyWindow>("window", "over this time; left out: 15m")
        .answers::<LatencyReport>(200, "Percentiles, and the histogram that they are of")
        .refuses(&[Kind::Malformed]);
}

async fn latency(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<LatencyReport>, Refused> {
    let mut parameters = Parameters::read(&uri, &["region", "window"]);
    let region = parameters.region("region", &publisher);
    let window = parameters.word("window", "is none of 1m, 15m and since_start");
    parameters.finish()?;
    Ok(Json(publisher.latency(region, window.unwrap_or_default())))
}
