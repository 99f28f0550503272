//! What every request passes on its way: who asks, how long it may take, what becomes of a panic.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::timeout;
use tracing::error;

use super::auth;
use crate::caller::Caller;
use crate::metrics::Metrics;
use crate::problem::{Kind, Reason, Refused};
use crate::tokens::TokenBook;

/// Nothing takes longer: the longest wait for progress, and some.
const ANSWER_WITHIN: Duration = Duration::from_secs(150);

/// What is asked of every request. Without tokens, everyone may pass.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) tokens: Option<TokenBook>,
    pub(super) metrics: Metrics,
}

impl Gate {
    /// Who asks, if that may pass.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let tokens = self.tokens.as_ref().map(TokenBook::current);
        auth::caller(tokens.as_deref(), headers, uri, now)
    }

    /// Sees to it that a panic is an answer too, and counts what is refused.
    pub(super) async fn watch(&self, answering: impl Future<Output = Response>) -> Response {
        let response = answered(answering).await;
        if let Some(Reason(reason)) = response.extensions().get() {
            self.metrics.refused(reason);
        }
        response
    }
}

/// An answer in time. Only for what has no limit of its own: nearly all requests publish, and a timer costs each of them
/// about as much as reading it does.
pub(super) async fn in_time(answering: impl Future<Output = Response>) -> Response {
    timeout(ANSWER_WITHIN, answering).await.unwrap_or_else(|_| {
        Refused::new(Kind::Unavailable, "no answer in time; repeat later").into_response()
    })
}

/// An answer, whatever happens behind.
async fn answered(answering: impl Future<Output = Response>) -> Response {
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    answered.unwrap_or_else(|panic| panicked(panic.as_ref()))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(panic = text.unwrap_or("without a message"), "a request handler panicked");
    Refused::new(Kind::Internal, "see the publisher's log; repeating may help").into_response()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_panic_behind_it_is_an_answer() {
        let response = answered(async { panic!("on purpose") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_behind_it_is_answered_in_time() {
        assert_eq!(in_time(pending()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
