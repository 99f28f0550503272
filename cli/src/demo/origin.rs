//! The demo's origin: pages that change, and that take a while to render, as real ones do.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::sleep;

use super::stage::{PAGES, SECTIONS, Stage};

/// The header that tells which version a page is.
pub(crate) const VERSION: &str = "x-version";
/// Shortest and longest time that rendering takes: the window in which a purge meets a fetch in flight.
const RENDERING_MS: std::ops::Range<u64> = 5..250;
/// The longest fetch: a pass later than this closes the race.
pub(crate) const LONGEST_FETCH: Duration = Duration::from_millis(RENDERING_MS.end);

/// The origin's pages.
pub(crate) fn router(stage: Arc<Stage>) -> Router {
    Router::new().route("/section-{section}/{page}", get(page)).with_state(stage)
}

/// Reads the page as it is now, renders it for a while, and answers what it has read.
async fn page(
    State(stage): State<Arc<Stage>>,
    Path((section, name)): Path<(usize, String)>,
) -> Response {
    let page = name.strip_prefix("page-").and_then(|page| page.parse::<usize>().ok());
    let Some(page) = page.filter(|page| *page < PAGES && page % SECTIONS == section) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let version = stage.newest(page);
    sleep(Duration::from_millis(fastrand::u64(RENDERING_MS))).await;
    let headers = [
        (header::CACHE_CONTROL.as_str(), "public, max-age=3600".to_owned()),
        ("surrogate-key", format!("page-{page} section-{section}")),
        (VERSION, version.to_string()),
    ];
    (headers, format!("page {page}, version {version}\n")).into_response()
}
