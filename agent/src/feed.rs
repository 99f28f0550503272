//! A lane's reader of the log: subscribes, resumes, and subscribes anew when the log goes silent or breaks.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Delivery, Position, Positions, Start, Subscription, Topic,
};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

/// Publishers speak each second: a log silent for this long has lost us.
const SILENCE: Duration = Duration::from_secs(5);
/// Longest call to subscribe.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Ceiling of the jittered wait after a failure.
const AGAIN_WITHIN: Duration = Duration::from_millis(500);

type Subscribing = BoxFuture<'static, Result<Box<dyn Subscription>, BrokerError>>;

enum State {
    Waiting(Instant),
    Subscribing(Subscribing),
    Reading(Box<dyn Subscription>),
}

/// Where a lane reads.
pub(crate) struct Feed {
    broker: Arc<dyn Broker>,
    topic: Topic,
    start: Start,
    state: State,
    silent_since: Instant,
    jitter: fastrand::Rng,
}

impl Feed {
    /// Reads `topic` from `start` on.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        topic: Topic,
        start: Start,
        jitter: fastrand::Rng,
    ) -> Self {
        let now = Instant::now();
        Self { broker, topic, start, state: State::Waiting(now), silent_since: now, jitter }
    }

    /// The next deliveries, at most `max`. Waits through every trouble of the broker. Cancel-safe.
    pub(crate) async fn read(&mut self, max: usize) -> Vec<Delivery> {
        loop {
            match &mut self.state {
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.subscribe();
                }
                State::Subscribing(subscribing) => {
                    let subscribed = subscribing.await;
                    self.subscribed(subscribed);
                }
                State::Reading(subscription) => {
                    match timeout_at(self.silent_since + SILENCE, subscription.read(max)).await {
                        Ok(Ok(deliveries)) => {
                            self.took(&deliveries);
                            return deliveries;
                        }
                        Ok(Err(error)) => self.failed("cannot read the log", &error),
                        Err(_) => self.subscribe(),
                    }
                }
            }
        }
    }

    /// The reader was not asked for a while, its window being full: that is not the log's silence.
    pub(crate) fn idled(&mut self) {
        self.silent_since = Instant::now();
    }

    fn subscribe(&mut self) {
        let (broker, topic, start) = (self.broker.clone(), self.topic, self.start.clone());
        self.state = State::Subscribing(Box::pin(async move {
            tokio::time::timeout(SUBSCRIBE_WITHIN, broker.subscribe(topic, start))
                .await
                .unwrap_or_else(|late| Err(BrokerError::Unavailable(late.into())))
        }));
    }

    fn subscribed(&mut self, subscribed: Result<Box<dyn Subscription>, BrokerError>) {
        match subscribed {
            Ok(subscription) => {
                self.silent_since = Instant::now();
                self.state = State::Reading(subscription);
            }
            Err(error) => self.failed("cannot subscribe to the log", &error),
        }
    }

    fn failed(&mut self, what: &'static str, error: &BrokerError) {
        warn!(topic = %self.topic, error = crate::error_chain(error), "{what}");
        self.state = State::Waiting(Instant::now() + AGAIN_WITHIN.mul_f64(self.jitter.f64()));
    }

    fn took(&mut self, deliveries: &[Delivery]) {
        self.silent_since = Instant::now();
        let mut next = match std::mem::replace(&mut self.start, Start::Oldest) {
            Start::At(positions) => positions,
            Start::Oldest | Start::Newest | Start::Since(_) => Positions::new(),
        };
        for delivery in deliveries {
            next.insert(delivery.partition, Position(delivery.position.0.saturating_add(1)));
        }
        self.start = Start::At(next);
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("topic", &self.topic)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
