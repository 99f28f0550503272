//! Talks to a publisher's API and knows which of its answers are worth another try.

mod events;

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use schemas::api::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::exit::{Exit, Failure};

pub(crate) use events::{Message, Messages, Reader};

/// A publisher that does not even accept a connection for this long is away.
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// Pauses between tries double from the first to the last, with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client of one publisher. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    publisher: Url,
}

/// An answer that is not the one hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Nobody there, or too slow.
    #[error("no answer from {publisher}")]
    NoAnswer {
        publisher: Url,
        #[source]
        source: reqwest::Error,
    },
    /// One of both does not trust the other.
    #[error(
        "no TLS with {publisher}; --ca-file names who signed its certificate, --client-cert and --client-key our own"
    )]
    NoTrust {
        publisher: Url,
        #[source]
        source: reqwest::Error,
    },
    /// Too slow to begin with.
    #[error("no answer from {0}")]
    TooSlow(Url),
    /// Not now.
    #[error("the publisher cannot take it now: {}", describe(.problem))]
    Later { problem: Problem, after: Option<Duration> },
    /// Not ever.
    #[error("refused by the publisher: {}", describe(.0))]
    Refused(Problem),
    /// Something that is no publisher, or a much newer one.
    #[error("cannot understand the publisher's answer")]
    Strange(#[source] anyhow::Error),
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        let exit = match unanswered {
            Unanswered::NoAnswer { .. } | Unanswered::TooSlow(_) | Unanswered::Later { .. } => {
                Exit::Repeat
            }
            Unanswered::NoTrust { .. } => Exit::WrongUsage,
            Unanswered::Refused(_) => Exit::Refused,
            Unanswered::Strange(_) => Exit::Failed,
        };
        Self::new(exit, unanswered)
    }
}

impl Client {
    /// Does not connect yet.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(token) = connection.token()? {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Failure::message(Exit::WrongUsage, "the token holds bytes that no token holds")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = connection
            .client()?
            .connect_timeout(CONNECT_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("purgebus/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .build()
            .map_err(Failure::failed)?;
        Ok(Self { http, publisher: connection.url()? })
    }

    /// Asks once.
    pub(crate) async fn get(&self, path: &str, timeout: Duration) -> Result<Value, Unanswered> {
        self.send(self.http.get(self.url(path)).timeout(timeout)).await
    }

    /// Asks once for what is not to be taken apart.
    pub(crate) async fn get_as<T: DeserializeOwned>(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Result<T, Unanswered> {
        self.send(self.http.get(self.url(path)).timeout(timeout)).await
    }

    /// Asks once to take something away.
    pub(crate) async fn delete(&self, path: &str, timeout: Duration) -> Result<Value, Unanswered> {
        self.send(self.http.delete(self.url(path)).timeout(timeout)).await
    }

    /// Posts until the publisher has answered for good, or `deadline`. `key` makes the repetitions one.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        key: &str,
        deadline: Instant,
    ) -> Result<Value, Unanswered> {
        let mut ceiling = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let request = self.http.post(self.url(path)).header(IDEMPOTENCY_KEY, key).json(body);
            let unanswered = match self.send(request.timeout(left)).await {
                Err(error @ (Unanswered::NoAnswer { .. } | Unanswered::Later { .. })) => error,
                answered => return answered,
            };
            let asked = match &unanswered {
                Unanswered::Later { after, .. } => after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            let pause = asked.max(ceiling.mul_f64(fastrand::f64()));
            let Some(again) = Instant::now().checked_add(pause).filter(|again| *again < deadline)
            else {
                return Err(unanswered);
            };
            tracing::debug!(%unanswered, "asking again");
            sleep_until(again).await;
            ceiling = LAST_PAUSE.min(ceiling * 2);
        }
    }

    fn no_answer(&self, source: reqwest::Error) -> Unanswered {
        let (publisher, source) = (self.publisher.clone(), source.without_url());
        if is_about_tls(&source) {
            Unanswered::NoTrust { publisher, source }
        } else {
            Unanswered::NoAnswer { publisher, source }
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.publisher.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, q)| (path, Some(q)));
        url.set_path(&format!("{}{path}", self.publisher.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Unanswered> {
        let no_answer = |source| self.no_answer(source);
        let body = self.answer(request).await?.bytes().await.map_err(no_answer)?;
        serde_json::from_slice(&body).map_err(|error| Unanswered::Strange(error.into()))
    }

    /// The beginning of an answer that is a success.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, Unanswered> {
        let no_answer = |source| self.no_answer(source);
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = retry_after(response.headers());
        let body = response.bytes().await.map_err(no_answer)?;
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| unexplained(status));
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            Err(Unanswered::Later { problem, after })
        } else {
            Err(Unanswered::Refused(problem))
        }
    }
}

/// What an answer says, in our words.
pub(crate) fn understand<T: DeserializeOwned>(answer: Value) -> Result<T, Unanswered> {
    serde_json::from_value(answer).map_err(|error| Unanswered::Strange(error.into()))
}

/// Whether the two sides could not agree on TLS, which trying again does not change.
fn is_about_tls(error: &(dyn Error + 'static)) -> bool {
    // What an I/O error holds is no source of it.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || held.is_some_and(|held| is_about_tls(held))
        || error.source().is_some_and(is_about_tls)
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn unexplained(status: StatusCode) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("no reason given").to_owned(),
        status: status.as_u16(),
        detail: None,
        errors: Vec::new(),
    }
}

/// The problem with every mistake of the request, one a line.
fn describe(problem: &Problem) -> String {
    let Problem { status, title, detail, errors, .. } = problem;
    let detail = detail.iter().map(|detail| format!(": {detail}"));
    let errors =
        errors.iter().map(|mistake| format!("\n  {}: {}", mistake.pointer, mistake.detail));
    std::iter::once(format!("{status} {title}")).chain(detail).chain(errors).collect()
}
