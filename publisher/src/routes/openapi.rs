//! `GET /openapi.json`: the API written down as `OpenAPI` 3.1, from the types and routes that serve it.
//!
//! Every route says beside its handler what it takes and answers; the schemas come from the types themselves.

mod document;

use std::sync::LazyLock;

use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::{MethodRouter, get};
use serde_json::{Map, Value};

use super::parameters::Parameters;
use crate::handle::PublisherHandle;
use crate::problem::{Kind, Refused};

pub(super) use document::{At, Document, Operation};

/// The whole document.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| whole().to_string());

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(document)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("get_openapi", "This document")
        .answers::<Map<String, Value>>(200, "OpenAPI 3.1")
        .refuses(&[Kind::Malformed]);
}

/// Every resource of the API, written down.
pub(super) fn whole() -> Value {
    let mut document = Document::new();
    for resource in super::resources() {
        (resource.describe)(document.at(resource.path));
    }
    document.finish()
}

async fn document(uri: Uri) -> Result<([(HeaderName, &'static str); 1], &'static str), Refused> {
    Parameters::read(&uri, &[]).finish()?;
    Ok(([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()))
}
