//! The small caching reverse proxy of the demo and the tests, and its driver.

#[doc(hidden)]
pub mod fuzzing;
mod link;
mod protocol;
pub mod proxy;

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::header::{HOST, RETRY_AFTER};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use schemas::{Abilities, Exchange};
use serde::Deserialize;
use tracing::trace;

use self::link::Link;
use self::protocol::{IDENTITY, Identity, REMOVED, write_list};
use super::{Batch, BoxError, Driver, Endpoint, Fetches, PurgeError, Refused, Surroundings};

/// An edge answers a purge with a few words.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So much of what it says is told as the reason.
const REASON_BYTES_MAX: usize = 200;

/// The driver's own keys of a `[[agent.cache]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// Where it listens: exactly one instance, such as `http://127.0.0.1:8080`.
    pub url: Endpoint,
    /// Longest time for one batch, with the connection that it may need.
    #[serde(with = "humantime_serde", default = "default_timeout")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

/// The driver.
#[derive(Debug)]
pub struct Edge {
    link: Link,
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
enum Objection {
    #[error("{endpoint} is no edge: it answered PURGE with {status} and no {IDENTITY} header")]
    NoEdge { endpoint: Endpoint, status: StatusCode },
    #[error("{endpoint} answered {status}: {reason}")]
    Answered { endpoint: Endpoint, status: StatusCode, reason: String },
    #[error("two edges answer at {endpoint}; name each by an address of its own")]
    Several { endpoint: Endpoint },
}

impl Edge {
    /// Does not connect yet.
    pub fn new(config: &EdgeConfig, _surroundings: &Surroundings) -> Self {
        Self { link: Link::new(config.url.clone(), config.timeout, ANSWER_BYTES_MAX) }
    }

    /// Sends a list of selectors, and says who took it.
    async fn send(&self, list: String) -> Result<Identity, PurgeError> {
        let mut request = Request::new(Bytes::from(list));
        *request.method_mut() = protocol::METHOD.parse().expect("a valid method");
        let authority = self.link.endpoint().authority();
        request.headers_mut().insert(HOST, authority.parse().expect("a checked authority"));
        let response = self.link.exchange(request).await.map_err(unavailable)?;
        self.read(&response)
    }

    fn read(&self, response: &Response<Bytes>) -> Result<Identity, PurgeError> {
        let (status, headers) = (response.status(), response.headers());
        let endpoint = self.link.endpoint().clone();
        let identity = headers.get(IDENTITY).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(identity) = identity else {
            return Err(unavailable(Objection::NoEdge { endpoint, status }));
        };
        if status == StatusCode::OK {
            trace!(removed = ?headers.get(REMOVED), "purged");
            return Ok(identity);
        }
        let reason = reason(response.body());
        let objection = Objection::Answered { endpoint, status, reason };
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return Err(PurgeError::Refused(Refused::by(Some(exchange(response)), objection)));
        }
        Err(PurgeError::Unavailable { after: retry_after(headers), source: objection.into() })
    }
}

#[async_trait]
impl Driver for Edge {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        // At the same time, so that each has a connection of its own and a balancer shows both of its ends.
        let (one, other) = futures::join!(self.send(String::new()), self.send(String::new()));
        let (one, other) = (one.map_err(for_all)?, other.map_err(for_all)?);
        if one != other {
            return Err(unavailable(Objection::Several { endpoint: self.link.endpoint().clone() }));
        }
        Ok(Abilities::of_pages(protocol::SELECTORS_MAX, format!("purgebus edge {}", one.version)))
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let list =
            write_list(&batch.purges).map_err(|held| PurgeError::Refused(Refused::new(held)))?;
        self.send(list).await.map(|_| Fetches::Unfenced)
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        self.send(String::new()).await.map(|_| ())
    }
}

fn unavailable(source: impl Into<BoxError>) -> PurgeError {
    PurgeError::Unavailable { after: None, source: source.into() }
}

/// No selector was asked for yet: whatever is refused is refused to all.
fn for_all(error: PurgeError) -> PurgeError {
    match error {
        PurgeError::Refused(refused) => refused.of_all(),
        unavailable @ PurgeError::Unavailable { .. } => unavailable,
    }
}

/// What the edge says of itself, or what stands there in its place.
fn reason(body: &[u8]) -> String {
    let mut reason = String::from_utf8_lossy(body).into_owned();
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason.trim_end().to_owned()
}

/// The answer, as near to how it was sent as a client knows.
fn exchange(response: &Response<Bytes>) -> Exchange {
    let status = format!("{:?} {}", response.version(), response.status());
    let mut answer = Vec::new();
    for (name, value) in response.headers() {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    answer.extend_from_slice(response.body());
    Exchange::new(status.as_bytes(), &answer)
}

/// How long the edge asks to be left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
