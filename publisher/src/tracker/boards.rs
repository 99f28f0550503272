//! What the tracker reads: the board of reports, the board of publishers, and heartbeats.
//!
//! Heartbeats are read from the critical topic alone: every publisher beats there each second too. From both topics
//! come the frames of other publishers, for events. The first content of a board is folded in one go, so that nobody is answered from half of it.

use std::time::Duration;

use broker_adapter::{
    Bounds, Broker, BrokerError, Delivery, Start, Subscription, Topic, TopicKind,
};
use daemon::{BoxError, Stop};
use schemas::wire::{decode_board, decode_log};
use schemas::{BoardMessage, LogMessage, PUBLISHERS_BOARD, REPORTS_BOARD};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::warn;

use super::metrics::TrackerMetrics;
use super::shell::Shared;
use crate::error_chain;

/// Most messages read at once.
const READ_MAX: usize = 256;

/// Most messages folded in one go.
const CATCH_UP_MAX: usize = 16_384;

/// How long the first content of a board may take.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);

/// How long a broker that failed, or refused, is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const REFUSED_AFTER: Duration = Duration::from_secs(5);

/// How long a subscription may take to begin.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);

/// How often a message that was not understood is logged, at most.
const PARKED_LOGGED_EVERY: Duration = Duration::from_mins(1);

/// One thing to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    topic: Topic,
    /// Silent for so long, the subscription is lost, or there is nobody.
    silence: Duration,
}

/// Agents speak each second.
pub(super) const REPORTS: Source =
    Source { topic: Topic::board(REPORTS_BOARD), silence: Duration::from_secs(5) };

/// Publishers speak when they start, and humans seldom.
pub(super) const PUBLISHERS: Source =
    Source { topic: Topic::board(PUBLISHERS_BOARD), silence: Duration::from_secs(30) };

/// The word of [`Priority::Critical`](schemas::Priority::Critical).
const CRITICAL: &str = "critical";

/// Publishers beat each second, our own with them.
pub(super) const HEARTBEATS: Source =
    Source { topic: Topic::log(CRITICAL), silence: Duration::from_secs(5) };

/// The word of [`Priority::Normal`](schemas::Priority::Normal).
const NORMAL_TOPIC: &str = "normal";

/// What other publishers accept, beside what is critical.
pub(super) const NORMAL: Source =
    Source { topic: Topic::log(NORMAL_TOPIC), silence: Duration::from_secs(5) };

impl Source {
    /// Reads until stopped, whatever the broker does.
    pub(super) async fn fold(
        self,
        shared: &Shared,
        broker: &dyn Broker,
        stop: &Stop,
    ) -> Result<(), BoxError> {
        let mut parked = Parked { metrics: shared.metrics(), logged: None };
        loop {
            let read = tokio::select! {
                () = stop.requested() => return Ok(()),
                read = self.read(shared, broker, &mut parked) => read,
            };
            let Err(error) = read else { continue };
            let rest = match &error {
                BrokerError::Unavailable(_) => RETRY_AFTER,
                BrokerError::Refused(_) => REFUSED_AFTER,
            };
            let trouble = error_chain(&error);
            warn!(topic = %self.topic, error = trouble, "the tracker cannot read");
            shared.in_trouble(self.topic.name(), Some(trouble));
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = sleep(rest) => {}
            }
        }
    }

    /// Reads until the broker fails or falls silent; a board gives the latest of every key first, so nothing is
    /// missed.
    async fn read(
        self,
        shared: &Shared,
        broker: &dyn Broker,
        parked: &mut Parked,
    ) -> Result<(), BrokerError> {
        let mut subscription = match self.topic.kind() {
            TopicKind::Log => {
                let subscription = soon(broker.subscribe(self.topic, Start::Newest)).await?;
                if self.topic == HEARTBEATS.topic {
                    shared.hears_publishers();
                }
                subscription
            }
            TopicKind::Board => {
                let bounds = soon(broker.bounds(self.topic)).await?;
                let mut subscription = soon(broker.subscribe(self.topic, Start::Oldest)).await?;
                let content = first_content(subscription.as_mut(), bounds).await?;
                shared.fold(parked.decode_all(self.topic, content, true));
                shared.caught_up(self.topic.name());
                subscription
            }
        };
        shared.in_trouble(self.topic.name(), None);
        while let Ok(deliveries) = timeout(self.silence, subscription.read(READ_MAX)).await {
            shared.fold(parked.decode_all(self.topic, deliveries?, false));
        }
        Ok(())
    }
}

fn is_frame(message: &LogMessage) -> bool {
    matches!(message, LogMessage::Frame(_))
}

async fn soon<T>(asked: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    timeout(SUBSCRIBE_WITHIN, asked).await.map_err(|late| BrokerError::Unavailable(late.into()))?
}

/// All that stood on a board before it was subscribed, as far as it comes in time.
async fn first_content(
    subscription: &mut dyn Subscription,
    bounds: Bounds,
) -> Result<Vec<Delivery>, BrokerError> {
    let filled = bounds.into_iter().filter(|(_, bounds)| bounds.end > bounds.first);
    let mut ends: Vec<_> = filled.map(|(partition, bounds)| (partition, bounds.end.0)).collect();
    let deadline = Instant::now() + CATCH_UP_WITHIN;
    let mut content = Vec::new();
    while !ends.is_empty() && content.len() < CATCH_UP_MAX {
        let Ok(deliveries) = timeout_at(deadline, subscription.read(READ_MAX)).await else { break };
        for delivery in deliveries? {
            let next = delivery.position.0 + 1;
            ends.retain(|(partition, end)| *partition != delivery.partition || next < *end);
            content.push(delivery);
        }
    }
    Ok(content)
}

/// A message that the tracker folds.
#[derive(Debug)]
pub(super) enum Word {
    /// Of the board.
    Board(BoardMessage),
    /// The same, as it stood there before it was subscribed: since when, on the broker's clock.
    Stood(BoardMessage, jiff::Timestamp),
    /// Of the log.
    Log(LogMessage),
}

/// What was not understood: counted, logged now and then, passed over.
struct Parked {
    metrics: TrackerMetrics,
    logged: Option<Instant>,
}

impl Parked {
    fn decode_all(&mut self, topic: Topic, deliveries: Vec<Delivery>, stood: bool) -> Vec<Word> {
        let decode = |delivery| match topic.kind() {
            TopicKind::Board => self.decode(topic, &delivery, stood),
            // Agents count what nobody understands on the log.
            TopicKind::Log => decode_log(&delivery.body)
                .ok()
                .filter(|message| topic == HEARTBEATS.topic || is_frame(message))
                .map(Word::Log),
        };
        deliveries.into_iter().filter_map(decode).collect()
    }

    fn decode(&mut self, topic: Topic, delivery: &Delivery, stood: bool) -> Option<Word> {
        let reason = match decode_board(&delivery.body) {
            Ok(message) if message.board() != topic.name() => "stands on another board".to_owned(),
            Ok(message) if stood => return Some(Word::Stood(message, delivery.time)),
            Ok(message) => return Some(Word::Board(message)),
            Err(error) => error.to_string(),
        };
        self.metrics.parked.inc();
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= PARKED_LOGGED_EVERY) {
            self.logged = Some(now);
            warn!(board = %topic, key = delivery.key, reason, "message not understood");
        }
        None
    }
}
