//! The connection: one for all topics, in the background for ever.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ServerAddr};
use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::events::Events;
use super::failure::{Failure, Said};
use super::{NatsConfig, options};

/// How long a call waits for a connection that is being made.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);
/// Events may be lost where there are many; then a wait looks itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest wait for an answer of the server.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Publishes under way, of all callers.
const ACKS_MAX: usize = 4_096;

/// A connection and what is known of it.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) events: Events,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.client.connection_state())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(config: &NatsConfig) -> Result<Self, Failure> {
        let servers = options::servers(config)?;
        let events = Events::default();
        let (take, attempts) = (events.clone(), events.clone());
        let options = options::options(config)?
            .event_callback(move |event| {
                take.take(event);
                async {}
            })
            .reconnect_to_server_callback(move |servers, _| {
                attempts.take_attempts(&servers);
                async { None }
            });
        let client = connect(options, servers)?;
        let context = ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .max_ack_inflight(ACKS_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, context, events })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often it connected: another number means another connection.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Waits a little for the connection.
    pub(super) async fn connected(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECTED_WITHIN;
        let mut signals = self.events.signals();
        while !self.is_connected() {
            if Instant::now() >= deadline {
                return Err(self.not_connected());
            }
            // Neither outcome says more than a look at the state does.
            timeout_at(deadline.min(Instant::now() + LOOK_EVERY), signals.changed()).await.ok();
        }
        Ok(())
    }

    fn not_connected(&self) -> Failure {
        let said = self.events.signals().borrow().trouble.clone();
        Failure::NotConnected(said.unwrap_or_else(|| Said("no server has answered yet".to_owned())))
    }

    /// Does something that the server answers, unless it says on the side that it will not: a denied publish has no
    /// other answer.
    pub(super) async fn guarded<T>(
        &self,
        subject: &str,
        action: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut signals = self.events.signals();
        let denied = signals.borrow_and_update().denied();
        let connects = self.connects();
        let mut action = pin!(action);
        loop {
            tokio::select! {
                biased;
                done = &mut action => return Ok(done),
                _ = signals.changed() => {
                    if let Some(said) = signals.borrow_and_update().denial(denied, subject) {
                        return Err(Failure::Denied(said.to_owned()));
                    }
                    if !self.is_connected() || self.connects() != connects {
                        return Err(Failure::ConnectionLost);
                    }
                }
            }
        }
    }

    /// A request to JetStream's API; the inner error is its answer.
    pub(super) async fn request<T: DeserializeOwned>(
        &self,
        subject: &str,
        payload: &impl Serialize,
    ) -> Result<Result<T, jetstream::Error>, Failure> {
        let full = format!("$JS.API.{subject}");
        let deadline = Instant::now() + ANSWER_WITHIN;
        let request = async {
            tokio::select! {
                answer = self.context.request(subject.to_owned(), payload) => Some(answer),
                () = sleep_until(deadline) => None,
            }
        };
        let Some(answer) = self.guarded(&full, request).await? else {
            return Err(self.timed_out(full));
        };
        match answer {
            Ok(Response::Ok(answer)) => Ok(Ok(answer)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => Failure::NoJetStream(Said(error.to_string())),
                RequestErrorKind::TimedOut => self.timed_out(full),
                RequestErrorKind::Other | RequestErrorKind::InvalidSubject => {
                    Failure::Client(Said(error.to_string()))
                }
            }),
        }
    }

    /// With what the server said last: it may well be why.
    pub(super) fn timed_out(&self, what: String) -> Failure {
        Failure::TimedOut { what, last: self.events.signals().borrow().trouble.clone() }
    }
}

/// With `retry_on_initial_connect` there is nothing to wait for.
fn connect(
    options: async_nats::ConnectOptions,
    servers: Vec<ServerAddr>,
) -> Result<Client, Failure> {
    let connecting = options.connect(servers).now_or_never();
    let failed = |said: String| Failure::Client(Said(said));
    connecting
        .ok_or_else(|| failed("the client waits for its first connection".to_owned()))?
        .map_err(|error| failed(error.to_string()))
}
