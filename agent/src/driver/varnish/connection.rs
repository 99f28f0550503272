//! A few dedicated connections that carry requests pipelined: a batch is written at once, its answers are read in
//! order, everything within limits of bytes and time.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::Answer;
use super::answering::Answering;
use crate::driver::Endpoint;

/// Connections to one Varnish; one of its threads serves each.
const CONNECTIONS_MAX: usize = 2;
/// Most addresses of one name that are tried apart.
const ADDRESSES_MAX: usize = 16;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("cannot connect to {1}")]
    Connect(#[source] io::Error, Endpoint),
    #[error("connection closed")]
    Closed(#[source] io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the answer is not HTTP")]
    Garbage(#[source] httparse::Error),
    #[error("the {0} of the answer is too long")]
    TooLong(&'static str),
    #[error("unexpected: {0}")]
    Unexpected(&'static str),
}

/// The bytes of one request.
#[derive(Debug)]
pub(super) struct Request {
    head: String,
    to_head: bool,
}

impl Request {
    /// Without a body. The parts are canonical: none holds a line end.
    pub(super) fn new(method: &str, target: &str, host: &str) -> Self {
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: purgebus\r\n");
        Self { head, to_head: method == "HEAD" }
    }

    pub(super) fn with(mut self, header: &str, value: &str) -> Self {
        for part in [header, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }
}

/// The connections to one Varnish.
#[derive(Debug)]
pub(super) struct Connections {
    endpoint: Endpoint,
    timeout: Duration,
    permits: Semaphore,
    /// In a call, a connection is not in here: a call that is dropped drops it too.
    idle: Mutex<Vec<Connection>>,
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        let permits = Semaphore::new(CONNECTIONS_MAX);
        Self { endpoint, timeout, permits, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One answer for each request, in order, or an error within the timeout.
    pub(super) async fn exchange(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Answer>, ExchangeError> {
        let _permit = self.permits.acquire().await.expect("never closed");
        timeout(self.timeout, self.exchange_or_retry(requests))
            .await
            .map_err(|_| ExchangeError::Timeout(self.timeout))?
    }

    /// The answers to these requests on each of `times` new connections of their own, to every address that the host's
    /// name has; an address where nobody listens is passed over if there is another.
    pub(super) async fn exchange_apart(
        &self,
        requests: &[Request],
        times: usize,
    ) -> Result<Vec<Vec<Answer>>, ExchangeError> {
        timeout(self.timeout, self.exchange_with_each(requests, times))
            .await
            .map_err(|_| ExchangeError::Timeout(self.timeout))?
    }

    async fn exchange_with_each(
        &self,
        requests: &[Request],
        times: usize,
    ) -> Result<Vec<Vec<Answer>>, ExchangeError> {
        let found = lookup_host((self.endpoint.host(), self.endpoint.port())).await;
        let found = found.map_err(|error| ExchangeError::Connect(error, self.endpoint.clone()))?;
        let addresses = found.take(ADDRESSES_MAX).collect::<Vec<_>>();
        let count = times.max(addresses.len());
        let exchanges = addresses.into_iter().cycle().take(count).map(|address| async move {
            let mut connection = Connection::open(address, &self.endpoint).await?;
            let mut answers = Vec::with_capacity(requests.len());
            connection.exchange(requests, &mut answers).await?;
            Ok(answers)
        });
        let (mut all, mut unreachable) = (Vec::with_capacity(count), None);
        for exchanged in join_all(exchanges).await {
            match exchanged {
                Ok(answers) => all.push(answers),
                Err(error @ ExchangeError::Connect(..)) => unreachable = Some(error),
                Err(error) => return Err(error),
            }
        }
        unreachable.filter(|_| all.is_empty()).map_or(Ok(all), Err)
    }

    /// A server may close an idle connection at any moment: what it left unanswered goes to a fresh one, once.
    async fn exchange_or_retry(&self, requests: &[Request]) -> Result<Vec<Answer>, ExchangeError> {
        let mut answers = Vec::with_capacity(requests.len());
        if let Some(connection) = self.take_idle() {
            match self.exchange_on(connection, requests, &mut answers).await {
                Ok(()) => return Ok(answers),
                Err(ExchangeError::Closed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let address = (self.endpoint.host(), self.endpoint.port());
        let fresh = Connection::open(address, &self.endpoint).await?;
        let unanswered = &requests[answers.len()..];
        self.exchange_on(fresh, unanswered, &mut answers).await?;
        Ok(answers)
    }

    async fn exchange_on(
        &self,
        mut connection: Connection,
        requests: &[Request],
        answers: &mut Vec<Answer>,
    ) -> Result<(), ExchangeError> {
        connection.exchange(requests, answers).await?;
        if connection.is_reusable() {
            self.idle.lock().push(connection);
        }
        Ok(())
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_reusable)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Read, but not yet understood.
    unread: BytesMut,
    /// The server said that it will close.
    closing: bool,
}

impl Connection {
    async fn open(address: impl ToSocketAddrs, endpoint: &Endpoint) -> Result<Self, ExchangeError> {
        let connect = |error| ExchangeError::Connect(error, endpoint.clone());
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        Ok(Self { stream, unread: BytesMut::new(), closing: false })
    }

    /// Open, and nothing unasked for has arrived.
    fn is_reusable(&self) -> bool {
        let unasked = self.stream.try_read(&mut [0]);
        let silent = matches!(unasked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        silent && self.unread.is_empty() && !self.closing
    }

    async fn exchange(
        &mut self,
        requests: &[Request],
        answers: &mut Vec<Answer>,
    ) -> Result<(), ExchangeError> {
        let mut bytes = BytesMut::new();
        for request in requests {
            bytes.extend_from_slice(request.head.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let (read, mut write) = self.stream.split();
        let mut answering = Answering { read, unread: &mut self.unread };
        let closing = &mut self.closing;
        let reading = async {
            for request in requests {
                let answer = answering.next(request.to_head).await?;
                *closing = answer.closes;
                answers.push(answer);
                if *closing && answers.len() < requests.len() {
                    return Err(ExchangeError::Closed(io::ErrorKind::ConnectionReset.into()));
                }
            }
            Ok(())
        };
        tokio::pin!(reading);
        // Both at once: a server that answers while we write must not wait for us. What it answered before
        // it closed counts even where writing the rest failed.
        let answered = tokio::select! {
            answered = &mut reading => answered,
            _written = write.write_all_buf(&mut bytes) => reading.await,
        };
        if answered.is_ok() && !bytes.is_empty() {
            return Err(ExchangeError::Unexpected("an answer before its request"));
        }
        answered
    }
}
