//! Errors of the API as RFC 9457 `application/problem+json`.

use std::time::Duration;

use axum::Json;
use axum::http::header::{self, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemas::api::{Mistake, Problem};

use crate::budget::Overdrawn;
use crate::handle::TokenPaused;

/// How long a caller should leave a publisher alone that cannot take anything.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Malformed,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    TooLarge,
    MediaType,
    Invalid,
    Conflict,
    Alive,
    Overlap,
    Overdrawn,
    Paused,
    Internal,
    Unavailable,
}

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Refused {
    kind: Kind,
    detail: String,
    errors: Vec<Mistake>,
    /// How long the caller should leave the publisher alone.
    wait: Duration,
}

/// Marks a response with why it is an error, for the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason(pub(crate) &'static str);

impl Kind {
    /// Its status, its word in types and metrics, and its title.
    pub(crate) fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as Code;
        match self {
            Self::Malformed => (Code::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::Unauthorized => (Code::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Self::Forbidden => (Code::FORBIDDEN, "forbidden", "The token does not allow it"),
            Self::NotFound => (Code::NOT_FOUND, "not_found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (Code::METHOD_NOT_ALLOWED, "method_not_allowed", "This cannot be done here")
            }
            Self::TooSlow => (Code::REQUEST_TIMEOUT, "too_slow", "The request took too long"),
            Self::TooLarge => (Code::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::MediaType => {
                (Code::UNSUPPORTED_MEDIA_TYPE, "media_type", "The body is not sent as JSON")
            }
            Self::Invalid => (Code::UNPROCESSABLE_ENTITY, "invalid", "The request has mistakes"),
            Self::Conflict => (
                Code::UNPROCESSABLE_ENTITY,
                "idempotency_conflict",
                "The idempotency key belongs to another request",
            ),
            Self::Alive => (Code::CONFLICT, "alive", "It is not gone"),
            Self::Overlap => (Code::CONFLICT, "overlap", "A replay of some of the same runs"),
            Self::Overdrawn => (Code::TOO_MANY_REQUESTS, "overdrawn", "The budget is spent"),
            Self::Paused => (Code::TOO_MANY_REQUESTS, "paused", "The token is paused"),
            Self::Internal => {
                (Code::INTERNAL_SERVER_ERROR, "internal", "The publisher made a mistake")
            }
            Self::Unavailable => {
                (Code::SERVICE_UNAVAILABLE, "unavailable", "The publisher cannot do it now")
            }
        }
    }
}

impl Refused {
    /// `detail` says what is wrong and the way out.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), wait: RETRY_AFTER }
    }

    /// With everything that is wrong, each at its place.
    pub(crate) fn mistakes(kind: Kind, errors: Vec<Mistake>) -> Self {
        let detail = match errors.len() {
            1 => "1 mistake; nothing was published".to_owned(),
            many => format!("{many} mistakes; nothing was published"),
        };
        Self { kind, detail, errors, wait: RETRY_AFTER }
    }
}

impl From<Overdrawn> for Refused {
    fn from(Overdrawn { whose, rate, wait }: Overdrawn) -> Self {
        let detail = format!(
            "the budget of {whose} is spent: it is {rate}, a url or key costs 1, a tag 5, a prefix 20, everything 1000"
        );
        Self { wait, ..Self::new(Kind::Overdrawn, detail) }
    }
}

impl From<TokenPaused> for Refused {
    fn from(TokenPaused { detail, wait }: TokenPaused) -> Self {
        Self { wait, ..Self::new(Kind::Paused, detail) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, word, title) = self.kind.facts();
        let problem = Problem {
            kind: format!("urn:purgebus:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: Some(self.detail),
            errors: self.errors,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind {
            Kind::Unavailable | Kind::Overdrawn | Kind::Paused => {
                let seconds = self.wait.as_secs_f64().ceil().max(1.0);
                let seconds = HeaderValue::from_str(&format!("{seconds:.0}"));
                headers.extend(seconds.ok().map(|seconds| (header::RETRY_AFTER, seconds)));
            }
            Kind::Unauthorized => {
                let scheme = HeaderValue::from_static("Bearer realm=\"purgebus\"");
                headers.insert(WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        response.extensions_mut().insert(Reason(word));
        response
    }
}
