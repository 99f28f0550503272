//! Whole HTTP/1.1 answers from one server over a few kept connections; everything in bounded time and memory.
//!
//! A connection is driven only while it carries an exchange, so there is no task to leave behind: a caller that
//! goes away takes its connection with it.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::protocol;
use crate::driver::{BoxError, Endpoint};

/// Idle connections kept; more are closed after use.
const IDLE_MAX: usize = 16;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("cannot connect to {0}")]
    Connect(Endpoint, #[source] std::io::Error),
    #[error("{0} broke off")]
    Broken(Endpoint, #[source] BoxError),
    #[error("{0} answered with more than {1} bytes")]
    TooLong(Endpoint, usize),
    #[error("{0} did not answer within {1:?}")]
    Late(Endpoint, Duration),
}

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: Endpoint,
    timeout: Duration,
    answer_bytes_max: usize,
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driving: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

impl Link {
    /// Does not connect yet. `timeout` is for one exchange, with the connection that it may need.
    pub(super) fn new(endpoint: Endpoint, timeout: Duration, answer_bytes_max: usize) -> Self {
        Self { endpoint, timeout, answer_bytes_max, idle: Mutex::default() }
    }

    /// Where it leads.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One request and its whole answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkError> {
        let exchanged = timeout(self.timeout, self.exchange_at_leisure(request)).await;
        exchanged.unwrap_or_else(|_| Err(LinkError::Late(self.endpoint.clone(), self.timeout)))
    }

    async fn exchange_at_leisure(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkError> {
        // The server may have closed an idle connection just now; only what may be repeated can take one.
        if may_repeat(request.method())
            && let Some(connection) = self.take_idle()
        {
            match self.exchange_on(connection, request.clone()).await {
                Err(LinkError::Broken(..)) => {}
                answered => return answered,
            }
        }
        let connection = self.connect().await?;
        self.exchange_on(connection, request).await
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.lock().pop()
    }

    async fn connect(&self) -> Result<Connection, LinkError> {
        let failed = |error| LinkError::Connect(self.endpoint.clone(), error);
        let address = (self.endpoint.host(), self.endpoint.port());
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, driving) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| LinkError::Broken(self.endpoint.clone(), error.into()))?;
        Ok(Connection { sender, driving })
    }

    async fn exchange_on(
        &self,
        connection: Connection,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkError> {
        let Connection { mut sender, mut driving } = connection;
        let mut answer = Box::pin(async {
            sender.ready().await?;
            let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            Ok(Response::from_parts(parts, self.collect(body).await?))
        });
        let answered = tokio::select! {
            biased;
            answered = &mut answer => {
                drop(answer);
                if answered.is_ok() {
                    self.keep(Connection { sender, driving });
                }
                answered
            }
            // The server closed it; what had arrived before is still to be read.
            _closed = &mut driving => {
                drop(driving);
                answer.await
            }
        };
        answered.map_err(|error: BoxError| {
            if error.is::<LengthLimitError>() {
                LinkError::TooLong(self.endpoint.clone(), self.answer_bytes_max)
            } else {
                LinkError::Broken(self.endpoint.clone(), error)
            }
        })
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, BoxError> {
        Ok(Limited::new(body, self.answer_bytes_max).collect().await?.to_bytes())
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }
}

/// Whether doing it twice does no harm.
fn may_repeat(method: &Method) -> bool {
    method.is_safe() || method.as_str() == protocol::METHOD
}
