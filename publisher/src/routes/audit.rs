//! `GET /v1/audit`: the audit trail, oldest first; `GET /v1/audit/verification`: whether it is as it was written;
//! `GET /v1/audit/certificates/{id}`: that an invalidation was carried out.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use schemas::api::{AuditLine, AuditVerification, Certificate, Page};
use serde_json::value::RawValue;
use tracing::error;
use uuid::Uuid;

use super::openapi::At;
use super::page::cursor;
use super::parameters::Parameters;
use crate::audit::{AuditError, AuditFilter};
use crate::error_chain;
use crate::handle::{CertificateError, PublisherHandle};
use crate::problem::{Kind, Refused};

const PARAMETERS: [&str; 6] = ["since", "until", "who", "what", "limit", "cursor"];

const CURSOR_VERSION: u8 = 3;

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(list)
}

pub(super) fn verification_methods() -> MethodRouter<PublisherHandle> {
    get(verification)
}

pub(super) fn certificate_methods() -> MethodRouter<PublisherHandle> {
    get(certificate)
}

pub(super) fn describe_certificate(mut at: At<'_>) {
    at.get("get_certificate", "Proof that an invalidation was carried out, months later too")
        .answers::<Certificate>(
            200,
            "Where and when; `complete` says whether it is proof of erasure",
        )
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("list_audit", "The audit trail of this publisher, oldest first, as it was written")
        .query::<String>("since", "then or later: a time, or 15m for so long ago")
        .query::<String>("until", "then or earlier: a time, or 15m for so long ago")
        .query::<String>("who", "done with the token of this name")
        .query::<String>("what", "of this kind: publish, refusal, auth_failure, flush, ...")
        .paged()
        .answers::<Page<AuditLine>>(
            200,
            "A page. It may hold fewer than `limit`, even none, though there is a next one: so much is read at once",
        )
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

pub(super) fn describe_verification(mut at: At<'_>) {
    at.get("verify_audit", "Whether every line of the audit trail is as it was written")
        .answers::<AuditVerification>(200, "It is, or the first that is not")
        .refuses(&[Kind::Malformed, Kind::NotFound]);
}

async fn list(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<Page<Box<RawValue>>>, Refused> {
    let mut parameters = Parameters::read(&uri, &PARAMETERS);
    let now = publisher.now();
    let filter = AuditFilter {
        since: parameters.moment("since", now),
        until: parameters.moment("until", now),
        who: parameters.text("who").map(str::to_owned),
        what: parameters.text("what").map(str::to_owned),
    };
    let limit = parameters.limit();
    let from = parameters.cursor(CURSOR_VERSION, place_of);
    parameters.finish()?;
    let listed = publisher.audit_lines(filter, limit, from).await?.ok_or_else(no_trail)?;
    let next =
        listed.next.map(|(first, offset)| [first.to_be_bytes(), offset.to_be_bytes()].concat());
    let next_cursor = next.map(|place| cursor(CURSOR_VERSION, &place));
    Ok(Json(Page { items: listed.lines, next_cursor }))
}

async fn verification(
    State(publisher): State<PublisherHandle>,
    uri: Uri,
) -> Result<Json<AuditVerification>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    publisher.verify_audit().await?.map(Json).ok_or_else(no_trail)
}

async fn certificate(
    State(publisher): State<PublisherHandle>,
    id: Result<Path<Uuid>, PathRejection>,
    uri: Uri,
) -> Result<Json<Certificate>, Refused> {
    Parameters::read(&uri, &[]).finish()?;
    let unknown = |detail: &str| Refused::new(Kind::NotFound, detail);
    let Ok(Path(id)) = id else {
        return Err(unknown("an invalidation's id is a UUID, as the answer to its request told"));
    };
    let detail = "neither this publisher's audit trail nor its journal nor the log knows of it; whoever accepted it \
                  has it in its trail: ask that publisher";
    publisher.certificate(id).await?.map(Json).ok_or_else(|| unknown(detail))
}

fn place_of(cursor: &[u8]) -> Option<(u64, u64)> {
    let (first, offset) = cursor.split_first_chunk()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(offset.try_into().ok()?)))
}

fn no_trail() -> Refused {
    Refused::new(Kind::NotFound, "this publisher keeps no audit trail: unaudited = true")
}

impl From<CertificateError> for Refused {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Audit(error) => error.into(),
            CertificateError::Status(error) => error.into(),
        }
    }
}

impl From<AuditError> for Refused {
    fn from(error: AuditError) -> Self {
        error!(error = error_chain(&error), "the audit trail cannot be read");
        Self::new(Kind::Unavailable, "the audit trail cannot be read; repeat later")
    }
}
