//! A lane's reader of the log: subscribes, resumes, and subscribes anew when the log, or a partition of it, goes
//! silent or breaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Delivery, Position, Positions, Start, Subscription, Topic,
};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use crate::pulse::Pulses;

/// Longest call to subscribe.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Ceiling of the jittered wait after a failure.
const AGAIN_WITHIN: Duration = Duration::from_millis(500);
/// Most deliveries asked for at once.
const READ_MAX: usize = 256;
/// So many are asked for without knowing how large they are: what came while a lane was away is judged together.
const READ_MIN: usize = 32;
/// About so many bytes are asked for at once.
const READ_BYTES: usize = 1 << 20;

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
    start: Positions,
    state: State,
    pulses: Pulses,
    ahead: VecDeque<Delivery>,
    appetite: usize,
    subscribed: u64,
    trouble: Option<(Instant, String)>,
    jitter: fastrand::Rng,
}

impl Feed {
    /// Reads `topic` from `start` on; a partition not named, from its oldest.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        topic: Topic,
        start: Positions,
        jitter: fastrand::Rng,
    ) -> Self {
        let now = Instant::now();
        Self {
            broker,
            topic,
            start,
            state: State::Waiting(now),
            pulses: Pulses::new(now),
            ahead: VecDeque::new(),
            appetite: READ_MIN,
            subscribed: 0,
            trouble: None,
            jitter,
        }
    }

    /// Waits, through every trouble of the broker, until something is read ahead; not more than what
    /// [`Feed::next`] has not taken yet is held. Cancel-safe.
    pub(crate) async fn fill(&mut self) {
        while self.ahead.is_empty() {
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
                    let silent_at = self.pulses.silent_at();
                    if silent_at <= Instant::now() {
                        self.fell_silent();
                        continue;
                    }
                    match timeout_at(silent_at, subscription.read(self.appetite)).await {
                        Ok(Ok(deliveries)) => self.took(deliveries),
                        Ok(Err(error)) => self.failed("cannot read the log", &error),
                        Err(_) => self.fell_silent(),
                    }
                }
            }
        }
    }

    /// Whether nothing is read ahead.
    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// All that was read ahead.
    pub(crate) fn take(&mut self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.ahead)
    }

    /// The next delivery read ahead.
    pub(crate) fn next(&mut self) -> Option<Delivery> {
        self.ahead.pop_front()
    }

    /// The reader did not ask for a while, its window being full: that is not the log's silence.
    pub(crate) fn idled(&mut self) {
        self.pulses.restart(Instant::now());
    }

    /// How often it has subscribed: positions may mean something else each time.
    pub(crate) fn subscribed_times(&self) -> u64 {
        self.subscribed
    }

    /// What keeps it from reading, if something did so for `time`.
    pub(crate) fn trouble(&self, time: Duration) -> Option<String> {
        let (since, what) = self.trouble.as_ref()?;
        (since.elapsed() >= time).then(|| what.clone())
    }

    fn in_trouble(&mut self, what: String) {
        let since = self.trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        self.trouble = Some((since, what));
    }

    fn fell_silent(&mut self) {
        let silent = self.pulses.give_up(Instant::now());
        if silent.is_none() && self.trouble.is_none() {
            self.in_trouble("the log is silent: no publisher is heard".to_owned());
        }
        if let Some(partition) = silent {
            warn!(topic = %self.topic, partition = partition.0, "partition fell silent");
        }
        self.subscribe();
    }

    fn subscribe(&mut self) {
        let (broker, topic, start) = (self.broker.clone(), self.topic, self.start.clone());
        self.state = State::Subscribing(Box::pin(async move {
            tokio::time::timeout(SUBSCRIBE_WITHIN, broker.subscribe(topic, Start::At(start)))
                .await
                .unwrap_or_else(|late| Err(BrokerError::Unavailable(late.into())))
        }));
    }

    fn subscribed(&mut self, subscribed: Result<Box<dyn Subscription>, BrokerError>) {
        match subscribed {
            Ok(subscription) => {
                self.pulses.restart(Instant::now());
                self.subscribed += 1;
                self.state = State::Reading(subscription);
            }
            Err(error) => self.failed("cannot subscribe to the log", &error),
        }
    }

    fn failed(&mut self, what: &'static str, error: &BrokerError) {
        let causes = crate::error_chain(error);
        warn!(topic = %self.topic, error = causes, "{what}");
        self.in_trouble(format!("{what}: {causes}"));
        self.state = State::Waiting(Instant::now() + AGAIN_WITHIN.mul_f64(self.jitter.f64()));
    }

    fn took(&mut self, deliveries: Vec<Delivery>) {
        let now = Instant::now();
        self.trouble = None;
        for of_one in deliveries.chunk_by(|one, other| one.partition == other.partition) {
            let Some(last) = of_one.last() else { continue };
            self.pulses.beat(last.partition, now);
            self.start.insert(last.partition, Position(last.position.0.saturating_add(1)));
        }
        let bytes = deliveries.iter().map(|delivery| delivery.body.len()).sum();
        self.appetite = appetite(deliveries.len(), bytes);
        self.ahead.extend(deliveries);
    }
}

/// How many deliveries to ask for after so many of so many bytes: a memory's worth of such ones, and never many
/// more than came last, since the next may be larger.
fn appetite(count: usize, bytes: usize) -> usize {
    let each = bytes / count.max(1) + 1;
    (READ_BYTES / each).min(READ_MIN.max(2 * count)).clamp(1, READ_MAX)
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("topic", &self.topic)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_read_few_at_a_time() {
        let mut asked = 1;
        assert_eq!(appetite(asked, 100), READ_MIN);
        for _ in 0..20 {
            asked = appetite(asked, asked * 100);
        }
        assert_eq!(asked, READ_MAX);
        assert_eq!(appetite(256, 256 * 64 * 1024), 15);
        assert_eq!(appetite(1, 16 << 20), 1);
    }
}
