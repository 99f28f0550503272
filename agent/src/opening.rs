//! How a lane opens the log: registered first where it has no cursor, then told what the broker keeps.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Broker, BrokerError, Topic};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use crate::error_chain;
use crate::reporter::Registration;

/// Longest wait for the broker to tell its bounds.
const BOUNDS_WITHIN: Duration = Duration::from_secs(10);
/// Wait between attempts to ask the broker for its bounds.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

enum State {
    Registering,
    Asking(BoxFuture<'static, Result<Bounds, BrokerError>>),
    Waiting(Instant),
}

/// A lane that is not told yet what the broker keeps.
pub(crate) struct Opening {
    broker: Arc<dyn Broker>,
    topic: Topic,
    registered: watch::Receiver<Registration>,
    state: State,
    trouble: Option<String>,
}

impl Opening {
    /// A lane that is owed for from the moment it takes its base must be `registered` before.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        topic: Topic,
        registered: watch::Receiver<Registration>,
        resumed: bool,
    ) -> Self {
        let state = if resumed { State::Waiting(Instant::now()) } else { State::Registering };
        Self { broker, topic, registered, state, trouble: None }
    }

    /// What the broker keeps; waits through every trouble. Cancel-safe.
    pub(crate) async fn bounds(&mut self) -> Bounds {
        loop {
            match &mut self.state {
                State::Registering => {
                    let done = |registered: &Registration| *registered == Registration::Done;
                    let registered = self.registered.wait_for(done).await.is_ok();
                    if !registered {
                        // Nobody registers any more: the agent is leaving.
                        std::future::pending::<()>().await;
                    }
                    self.state = State::Waiting(Instant::now());
                }
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.ask();
                }
                State::Asking(asking) => match asking.await {
                    Ok(bounds) => return bounds,
                    Err(error) => {
                        let causes = error_chain(&error);
                        warn!(topic = %self.topic, error = causes, "cannot ask the log");
                        self.trouble = Some(format!("cannot ask the log: {causes}"));
                        self.state = State::Waiting(Instant::now() + AGAIN_AFTER);
                    }
                },
            }
        }
    }

    /// What keeps it from being told, if something does.
    pub(crate) fn trouble(&self) -> Option<String> {
        match (&self.state, &*self.registered.borrow()) {
            (State::Registering, Registration::Waiting(Some(why))) => {
                Some(format!("cannot register on the board of reports: {why}"))
            }
            _ => self.trouble.clone(),
        }
    }

    fn ask(&mut self) {
        let (broker, topic) = (self.broker.clone(), self.topic);
        self.state = State::Asking(Box::pin(async move {
            timeout(BOUNDS_WITHIN, broker.bounds(topic))
                .await
                .unwrap_or_else(|late| Err(BrokerError::Unavailable(late.into())))
        }));
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("topic", &self.topic).finish_non_exhaustive()
    }
}
