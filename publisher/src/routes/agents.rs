//! `GET /v1/agents`, `DELETE /v1/agents/{name}`: who is registered, and who is gone for good.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, delete, get};
use schemas::AgentName;
use schemas::api::{AgentSummary, Page};

use super::openapi::At;
use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};
use crate::tracker::RetireError;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn methods_of_one() -> MethodRouter<PublisherHandle> {
    delete(retire)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_agents", "Who purges caches")
        .answers::<Page<AgentSummary>>(200, "One row per agent")
        .refuses(&[Kind::Malformed]);
}

pub(super) fn describe_one(mut at: At<'_>) {
    at.delete("retire_agent", "Says that an agent is gone for good: it owes nothing any more")
        .query::<bool>("force", "even though it is alive")
        .answers::<AgentSummary>(200, "It is retired")
        .refuses(&[Kind::Malformed, Kind::NotFound, Kind::Alive]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<AgentSummary>>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(Json(Page { items: publisher.agents(), next_cursor: None }))
}

async fn retire(
    State(publisher): State<PublisherHandle>,
    name: Result<Path<AgentName>, PathRejection>,
    uri: Uri,
) -> Result<Json<AgentSummary>, Refused> {
    let by_force = force(&uri)?;
    let Ok(Path(name)) = name else { return Err(unknown("agent")) };
    let retired = publisher.retire_agent(&name, by_force).await;
    retired.map(Json).map_err(|error| refused("agent", &error))
}

/// Whether the one who asks knows that it is alive.
pub(super) fn force(uri: &Uri) -> Result<bool, Refused> {
    let mut parameters = Parameters::read(uri, &["force"]);
    let force = parameters.value("force", "give true or false").unwrap_or(false);
    parameters.finish()?;
    Ok(force)
}

pub(super) fn unknown(what: &str) -> Refused {
    let detail = format!("no {what} of that name was ever heard of; GET /v1/{what}s lists them");
    Refused::new(Kind::NotFound, detail)
}

pub(super) fn refused(what: &str, error: &RetireError) -> Refused {
    match error {
        RetireError::Unknown => unknown(what),
        RetireError::Alive(state) => Refused::new(
            Kind::Alive,
            format!(
                "this {what} is {state}: it speaks. Stop it first, and ask again once it has been silent for 15 s; \
                 or give ?force=true where it was stopped just now. Whoever is retired and speaks again is back"
            ),
        ),
        RetireError::Myself => Refused::new(
            Kind::Alive,
            "a publisher does not retire itself; stop it, and ask another one",
        ),
        RetireError::Unavailable(_) | RetireError::Store(_) => {
            tracing::error!(error = crate::error_chain(error), "not retired");
            Refused::new(
                Kind::Unavailable,
                "the board of publishers does not take it now; it may have all the same: repeat later",
            )
        }
    }
}
