//! Answers of the server itself, before or in place of those of whoever it serves for.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

/// Why a client is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many connections as there may be, in all or from its address.
    Full,
    /// It speaks plain HTTP to a port with TLS.
    NotTls,
    /// It was too slow to ask.
    SlowHead,
    /// It asked for a path that nothing has.
    PathTooLong,
}

impl Refusal {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "as many connections are open as may be, in all or from this address; repeat later",
            ),
            Self::NotTls => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "this port speaks TLS; write https:// in place of http://",
            ),
            Self::SlowHead => {
                (StatusCode::REQUEST_TIMEOUT, "too_slow", "the head of the request took too long")
            }
            Self::PathTooLong => {
                (StatusCode::URI_TOO_LONG, "malformed", "the path of the request is too long")
            }
        }
    }

    /// As the API tells its problems.
    fn body(self) -> String {
        let (status, word, detail) = self.facts();
        let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        let kind = format!("urn:purgebus:problem:{word}");
        json!({"type": kind, "title": title, "status": code, "detail": detail}).to_string()
    }
}

const PROBLEM: &str = "application/problem+json";
const LATER: &str = "1";

/// For a server that goes on.
pub(super) fn response(refusal: Refusal) -> Response {
    let mut response = Response::new(Body::from(refusal.body()));
    *response.status_mut() = refusal.facts().0;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    if refusal == Refusal::Full {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(LATER));
    }
    response
}

/// For a connection that has no server, and ends with it.
pub(super) fn bytes(refusal: Refusal) -> Vec<u8> {
    let (parts, _) = response(refusal).into_parts();
    let body = refusal.body();
    let mut text = format!("HTTP/1.1 {}\r\n", parts.status);
    for (name, value) in &parts.headers {
        text.extend([name.as_str(), ": ", value.to_str().unwrap_or_default(), "\r\n"]);
    }
    let length = body.len().to_string();
    text.extend(["content-length: ", &length, "\r\nconnection: close\r\n\r\n", &body]);
    text.into_bytes()
}
