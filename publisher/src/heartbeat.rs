//! Says each second on every topic partition which numbers the log should hold, so that a loss at its end shows too.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Topic};
use daemon::{BoxError, Clock, Condition, Readiness, Stop};
use schemas::{Heartbeat, LogMessage, Priority, wire};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use crate::error_chain;
use crate::journal::{Journal, JournalError};
use crate::metrics::Metrics;
use crate::tracker::TrackerHandle;

/// Readers that hear nothing for a few of these subscribe anew.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the broker.
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);

/// The pulse of a publisher; it knows first whether the broker takes anything.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) journal: Journal,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) tracker: TrackerHandle,
    pub(crate) condition: Condition,
}

/// One beat of one topic.
struct Beat {
    /// Numbers that the broker does not have yet.
    unforwarded: u64,
    /// Why the broker did not take the heartbeat.
    trouble: Option<String>,
}

impl Pulse {
    /// Beats until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => {}
                _ = every.tick() => {
                    let beats = futures::future::try_join(
                        self.beat(Priority::Critical),
                        self.beat(Priority::Normal),
                    );
                    let (critical, normal) = beats.await?;
                    self.show(critical, normal);
                }
            }
        }
        Ok(())
    }

    /// Tells only numbers that the broker has: what still waits in the journal is not missing from the log.
    async fn beat(&self, priority: Priority) -> Result<Beat, JournalError> {
        let (lines, unforwarded) = self.journal.heads(priority).await?;
        let publisher = self.journal.publisher().clone();
        let agents = Some(self.tracker.agents());
        let heartbeat = Heartbeat { publisher, at: self.clock.now(), lines, agents };
        let body = wire::encode_log(&LogMessage::Heartbeat(heartbeat));
        let topic = Topic::log(priority.as_str());
        let message = Message { key: None, id: None, body };
        let taken = self.broker.publish(topic, Partition::default(), vec![message]);
        let trouble = match timeout(PUBLISH_WITHIN, taken).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some("it does not answer".to_owned()),
        };
        if let Some(trouble) = &trouble {
            warn!(%topic, trouble, "heartbeat not taken");
        }
        Ok(Beat { unforwarded, trouble })
    }

    fn show(&self, critical: Beat, normal: Beat) {
        let waiting = critical.unforwarded + normal.unforwarded;
        self.metrics.unforwarded(waiting);
        self.condition.set(match critical.trouble.or(normal.trouble) {
            None => Readiness::Ready,
            Some(trouble) => Readiness::Degraded(format!(
                "the broker takes nothing ({trouble}); {waiting} invalidations wait in the journal"
            )),
        });
    }
}
