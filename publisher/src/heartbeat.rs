//! Says each second on every topic partition which numbers the log should hold, so that a loss at its end shows too.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition};
use bytes::Bytes;
use daemon::{BoxError, Clock, Condition, Readiness, Stop};
use futures::future::join_all;
use jiff::Timestamp;
use schemas::{Heartbeat, LineId, LogMessage, Number, wire};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use crate::error_chain;
use crate::forwarder::Troubles;
use crate::journal::{Journal, JournalError, Standing, Stream};
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
    pub(crate) troubles: Troubles,
    pub(crate) condition: Condition,
}

impl Pulse {
    /// Beats until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => {}
                _ = every.tick() => self.beat().await?,
            }
        }
        Ok(())
    }

    /// Tells only numbers that the broker has: what still waits in the journal is not missing from the log. Who is
    /// retired cannot tell its own.
    async fn beat(&self) -> Result<(), JournalError> {
        let now = self.clock.now();
        let mut standing = self.journal.standing(now).await?;
        let mut heads = std::mem::take(&mut standing.heads);
        let remembered_since = self.journal.limits().remembered_since(now);
        for (stream, lines) in self.tracker.heads_of_retired(remembered_since) {
            // Its topic may have had more partitions than ours.
            let ours = if heads.contains_key(&stream) { stream.partition } else { Partition(0) };
            let stream = Stream { partition: ours, ..stream };
            heads.entry(stream).or_default().extend(lines);
        }
        let beats = heads.into_iter().map(|(stream, lines)| self.say(stream, lines, now));
        let trouble = join_all(beats).await.into_iter().flatten().next();
        let waiting_for = standing.waiting_since.map_or(Duration::ZERO, |since| age(since, now));
        self.metrics.unforwarded(standing.unforwarded, waiting_for);
        self.condition.set(self.readiness(&standing, trouble, now));
        Ok(())
    }

    /// Answers why the broker did not take it, if so.
    async fn say(
        &self,
        stream: Stream,
        lines: Vec<(LineId, Number)>,
        at: Timestamp,
    ) -> Option<String> {
        let published = self.broker.publish(
            stream.topic(),
            stream.partition,
            vec![Message { key: None, id: None, body: self.body(lines, at) }],
        );
        let trouble = match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some("it does not answer".to_owned()),
        };
        match &trouble {
            None => self.troubles.beat(stream),
            Some(trouble) => warn!(%stream, trouble, "heartbeat not taken"),
        }
        trouble
    }

    fn body(&self, lines: Vec<(LineId, Number)>, at: Timestamp) -> Bytes {
        let publisher = self.journal.publisher().clone();
        let agents = Some(self.tracker.agents());
        wire::encode_log(&LogMessage::Heartbeat(Heartbeat { publisher, at, lines, agents }))
    }

    /// Not ready is who can accept nothing; a journal that accepts makes up for any broker.
    fn readiness(&self, standing: &Standing, trouble: Option<String>, now: Timestamp) -> Readiness {
        let waiting = format!("{} invalidations wait in the journal", standing.unforwarded);
        let down = trouble.map(|why| format!("the broker takes nothing ({why}); {waiting}"));
        let limits = self.journal.limits();
        let overdue = standing.waiting_since.filter(|since| limits.overdue(*since, now));
        let cannot = if standing.disk_full {
            Some("the journal's disk is full".to_owned())
        } else if standing.full {
            Some(format!("the journal is full of what the broker does not have; {waiting}"))
        } else {
            overdue.map(|since| format!("{waiting}, the oldest since {since:.0}: too long"))
        };
        let refused = self.troubles.in_words().map(|why| format!("{why}; {waiting}"));
        match (cannot, down.or(refused)) {
            (None, None) => Readiness::Ready,
            (None, Some(down)) => Readiness::Degraded(down),
            (Some(cannot), down) => Readiness::NotReady(
                [Some(cannot), down].into_iter().flatten().collect::<Vec<_>>().join("; "),
            ),
        }
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
