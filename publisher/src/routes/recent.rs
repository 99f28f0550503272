//! `GET /v1/invalidations`: the recent ones, newest first.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::Uri;
use schemas::api::{InvalidationSummary, Page, ProgressState};
use schemas::{Region, SiteName};
use tracing::warn;
use uuid::Uuid;

use super::openapi::At;
use super::page::cursor;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{ListRequest, PublisherHandle, StatusError};
use crate::problem::{Kind, Refused};
use crate::search::Filter;

const PARAMETERS: [&str; 9] =
    ["since", "until", "site", "tag", "url", "region", "state", "limit", "cursor"];

const CURSOR_VERSION: u8 = 1;

pub(super) fn describe(at: &mut At<'_>) {
    at.get("list_invalidations", "The recent invalidations, newest first")
        .query::<String>("since", "accepted then or later: a time, or 15m for so long ago")
        .query::<String>("until", "accepted then or earlier: a time, or 15m for so long ago")
        .query::<SiteName>("site", "of this site")
        .query::<String>("tag", "that purge this tag, by its name or with everything")
        .query::<String>("url", "that purge this URL, by itself, by a prefix or with everything")
        .query::<Region>("region", "that this region has to carry out")
        .query::<ProgressState>("state", "that have come just this far")
        .paged()
        .answers::<Page<InvalidationSummary>>(
            200,
            "A page. It may hold fewer than `limit`, even none, though there is a next one: so much is read at once",
        )
        .refuses(&[Kind::Malformed]);
}

pub(super) async fn list(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page<InvalidationSummary>>, Refused> {
    let request = read(&uri, &caller, &publisher)?;
    let (items, next) = publisher.list(request).await.map_err(refused)?;
    Ok(Json(Page { items, next_cursor: next.map(|id| cursor(CURSOR_VERSION, id.as_bytes())) }))
}

fn read(uri: &Uri, caller: &Caller, publisher: &PublisherHandle) -> Result<ListRequest, Refused> {
    let mut parameters = Parameters::read(uri, &PARAMETERS);
    let now = publisher.now();
    let mut filter = Filter {
        since: parameters.moment("since", now),
        until: parameters.moment("until", now),
        site: parameters.site_of("site", caller, publisher),
        region: parameters.region("region", publisher),
        state: parameters
            .word("state", "is none of published, applied, final, blocked and no_agents"),
        ..Filter::default()
    };
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since > until
    {
        parameters.mistake("until", "is before since");
    }
    if let Some(tag) = parameters.validated("tag") {
        filter.purging_tag(tag);
    }
    if let Some(url) = parameters.validated("url") {
        filter.purging_url(&url, publisher.sites());
    }
    let limit = parameters.limit();
    let before = parameters.cursor(CURSOR_VERSION, |id| Uuid::from_slice(id).ok());
    parameters.finish()?;
    Ok(ListRequest { filter, limit, before })
}

fn refused(error: StatusError) -> Refused {
    let StatusError::Undecided { why, .. } = &error else { return error.into() };
    warn!(error = crate::error_chain(&error), "a list is not known");
    let detail = format!(
        "what other publishers accepted is not known: {why}; repeat later, or ask for a shorter time"
    );
    Refused::new(Kind::Unavailable, detail)
}
