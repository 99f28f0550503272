//! A second reader of the log, which looks for what the first has passed by: bounded in time, and never in its way.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Bounds, Broker, BrokerError, Delivery, Partition, Start, Subscription, Topic,
};
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use crate::error_chain;
use crate::lookup::SearchFrom;

/// Longest wait for the broker to tell where the log ends, and to subscribe.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A search by time takes so long at most,
const SINCE_WITHIN: Duration = Duration::from_secs(10);
/// and one from the oldest so long.
const OLDEST_WITHIN: Duration = Duration::from_secs(30);
/// A log that gives nothing for so long has been read.
const SILENCE: Duration = Duration::from_secs(3);
/// Most deliveries asked for at once: a tenth of a window of frames.
const READ_MAX: usize = 64;

type Opened = Result<(Bounds, Box<dyn Subscription>), BrokerError>;

enum State {
    Opening(BoxFuture<'static, Opened>),
    Reading(Box<dyn Subscription>, Bounds),
    Over,
}

/// One search.
pub(crate) struct Search {
    topic: Topic,
    until: Instant,
    state: State,
}

impl Search {
    /// Searches `topic`.
    pub(crate) fn new(broker: Arc<dyn Broker>, topic: Topic, from: SearchFrom) -> Self {
        info!(%topic, ?from, "looking up in the log what seems to be missing");
        let (start, within) = match from {
            SearchFrom::Since(time) => (Start::Since(time), SINCE_WITHIN),
            SearchFrom::Oldest => (Start::Oldest, OLDEST_WITHIN),
        };
        let opening = async move {
            let late = |late: tokio::time::error::Elapsed| BrokerError::Unavailable(late.into());
            let bounds = timeout(ANSWER_WITHIN, broker.bounds(topic)).await.map_err(late)??;
            let subscribed = timeout(ANSWER_WITHIN, broker.subscribe(topic, start)).await;
            Ok((bounds, subscribed.map_err(late)??))
        };
        Self { topic, until: Instant::now() + within, state: State::Opening(Box::pin(opening)) }
    }

    /// The next deliveries; none when all is read that the log held when the search began, or time is up.
    /// Cancel-safe.
    pub(crate) async fn read(&mut self) -> Vec<Delivery> {
        loop {
            match &mut self.state {
                State::Opening(opening) => {
                    let opened = opening.await;
                    self.opened(opened);
                }
                State::Reading(_, ends) if ends.is_empty() => self.state = State::Over,
                State::Reading(subscription, ends) => {
                    let patience = self.until.min(Instant::now() + SILENCE);
                    match timeout_at(patience, subscription.read(READ_MAX)).await {
                        Ok(Ok(deliveries)) => {
                            for delivery in &deliveries {
                                reached(ends, delivery);
                            }
                            if Instant::now() >= self.until {
                                self.state = State::Over;
                            }
                            return deliveries;
                        }
                        Ok(Err(error)) => self.failed(&error),
                        Err(_) => self.state = State::Over,
                    }
                }
                State::Over => return Vec::new(),
            }
        }
    }

    fn opened(&mut self, opened: Opened) {
        match opened {
            Ok((mut bounds, subscription)) => {
                bounds.retain(|_, kept| kept.first < kept.end);
                self.state = State::Reading(subscription, bounds);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &BrokerError) {
        warn!(topic = %self.topic, error = error_chain(error), "cannot look it up in the log");
        self.state = State::Over;
    }
}

/// Forgets the end of a partition that has been read up to it.
fn reached(ends: &mut Bounds, delivery: &Delivery) {
    let partition: Partition = delivery.partition;
    if ends.get(&partition).is_some_and(|kept| delivery.position.0.saturating_add(1) >= kept.end.0)
    {
        ends.remove(&partition);
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("topic", &self.topic).finish_non_exhaustive()
    }
}
