//! Batches of frames on their way to the broker, several at once and in order.
//!
//! ```text
//!        landed   on their way          not yet read
//! ------|=======|======X======|......................
//!               ^      ^ failed: nothing new leaves; once the oldest has landed, what failed after it follows in order
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Message};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::trouble::Troubles;
use crate::error_chain;
use crate::journal::{StoredFrame, Stream};
use crate::metrics::Metrics;
use crate::outlet::frame_message;

/// Most batches on their way at once: a reader's grace for holes covers what lands out of order.
const BATCHES_MAX: usize = 32;
/// Most bytes on their way at once.
const BYTES_MAX: usize = 4 << 20;
/// Longest wait for an ack. What is late may still land, so it is sent again under the same message ids.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);
/// Wait after the first failure; it doubles with each, up to the longest, and is jittered.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The same for a frame that the broker refuses, which only someone who changes its configuration can help.
const REFUSED_FIRST_WAIT: Duration = Duration::from_secs(5);
const REFUSED_LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Batches on their way, by the sequence of their first frames.
pub(super) struct Pipeline {
    broker: Arc<dyn Broker>,
    stream: Stream,
    troubles: Troubles,
    metrics: Metrics,
    batches: BTreeMap<u64, Batch>,
    bytes: usize,
    flying: FuturesUnordered<BoxFuture<'static, (u64, Result<(), Failure>)>>,
    retry: Option<Retry>,
}

/// Frames of one line that travel together.
struct Batch {
    frames: Vec<StoredFrame>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flying,
    Failed,
    Landed,
}

/// When the oldest batch is tried again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    next_wait: Duration,
}

/// Why a batch was not taken.
#[derive(Debug)]
enum Failure {
    Unavailable(String),
    Refused(String),
}

impl Pipeline {
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        stream: Stream,
        troubles: Troubles,
        metrics: Metrics,
    ) -> Self {
        let (batches, flying) = (BTreeMap::new(), FuturesUnordered::new());
        Self { broker, stream, troubles, metrics, batches, bytes: 0, flying, retry: None }
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.retry.is_none() && self.batches.len() < BATCHES_MAX && self.bytes < BYTES_MAX
    }

    /// Whether nothing is on its way just now.
    pub(super) fn is_idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Sends frames, which follow those before.
    pub(super) fn send(&mut self, frames: Vec<StoredFrame>) {
        let Some(first) = frames.first().map(|frame| frame.sequence) else { return };
        self.bytes += bytes(&frames);
        self.batches.insert(first, Batch { frames, state: State::Failed });
        self.launch(first);
    }

    /// Starts what was sent, without waiting. Answers as [`Pipeline::step`].
    pub(super) async fn nudge(&mut self) -> Option<u64> {
        match futures::poll!(self.flying.next()) {
            std::task::Poll::Ready(Some((first, result))) => self.ended(first, result),
            _ => None,
        }
    }

    /// Waits for something to happen. Answers, where that is new, below which sequence the broker has everything.
    /// Cancel-safe.
    pub(super) async fn step(&mut self) -> Option<u64> {
        let oldest_failed = self.oldest().is_some_and(|(_, batch)| batch.state == State::Failed);
        let retry_at = self.retry.filter(|_| oldest_failed).map(|retry| retry.at);
        let retry = async {
            match retry_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((first, result)) = self.flying.next() => self.ended(first, result),
            () = retry => {
                self.try_oldest();
                None
            }
        }
    }

    fn oldest(&self) -> Option<(u64, &Batch)> {
        self.batches.first_key_value().map(|(first, batch)| (*first, batch))
    }

    fn try_oldest(&mut self) {
        if let Some((first, _)) = self.oldest() {
            self.launch(first);
        }
    }

    fn launch(&mut self, first: u64) {
        let Some(batch) = self.batches.get_mut(&first) else { return };
        batch.state = State::Flying;
        let message = |frame: &StoredFrame| frame_message(frame.first, 0, frame.bytes.clone());
        let messages: Vec<Message> = batch.frames.iter().map(message).collect();
        let (broker, stream) = (Arc::clone(&self.broker), self.stream);
        self.flying.push(Box::pin(async move {
            let published = broker.publish(stream.topic(), stream.partition, messages);
            let result = match timeout(PUBLISH_WITHIN, published).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error @ BrokerError::Refused(_))) => {
                    Err(Failure::Refused(error_chain(&error)))
                }
                Ok(Err(error)) => Err(Failure::Unavailable(error_chain(&error))),
                Err(_) => Err(Failure::Unavailable("the broker does not answer".to_owned())),
            };
            (first, result)
        }));
    }

    fn ended(&mut self, first: u64, result: Result<(), Failure>) -> Option<u64> {
        match result {
            Ok(()) => self.landed(first),
            Err(failure) => {
                self.failed(first, failure);
                None
            }
        }
    }

    fn landed(&mut self, first: u64) -> Option<u64> {
        let was_oldest = self.oldest().is_some_and(|(oldest, _)| oldest == first);
        if let Some(batch) = self.batches.get_mut(&first) {
            batch.state = State::Landed;
        }
        let mut forwarded = None;
        while let Some(oldest) = self.batches.first_entry()
            && oldest.get().state == State::Landed
        {
            let Batch { frames, .. } = oldest.remove();
            self.bytes = self.bytes.saturating_sub(bytes(&frames));
            forwarded = frames.last().map(|frame| frame.sequence + 1);
        }
        if was_oldest && self.retry.take().is_some() {
            info!(stream = %self.stream, "the broker takes frames again");
            self.troubles.refused(self.stream, None);
            self.follow();
        }
        forwarded
    }

    /// Sends again, in order, what has failed after a batch that has landed now.
    fn follow(&mut self) {
        let failed = self.batches.iter().filter(|(_, batch)| batch.state == State::Failed);
        for first in failed.map(|(first, _)| *first).collect::<Vec<_>>() {
            self.launch(first);
        }
    }

    fn failed(&mut self, first: u64, failure: Failure) {
        let stream = self.stream;
        let was_oldest = self.oldest().is_some_and(|(oldest, _)| oldest == first);
        let Some(batch) = self.batches.get_mut(&first) else { return };
        batch.state = State::Failed;
        match failure {
            Failure::Unavailable(why) => {
                warn!(%stream, why, "frames not taken");
                self.metrics.not_taken("unavailable");
                self.wait(was_oldest, FIRST_WAIT, LONGEST_WAIT);
            }
            Failure::Refused(why) if batch.frames.len() > 1 => {
                warn!(%stream, why, "frames refused; trying each alone");
                self.metrics.not_taken("refused");
                self.split(first);
                self.wait(was_oldest, FIRST_WAIT, LONGEST_WAIT);
            }
            Failure::Refused(why) => {
                let bytes = bytes(&batch.frames);
                error!(%stream, why, bytes, "the broker refuses a frame; what follows waits");
                self.metrics.not_taken("refused");
                self.troubles.refused(stream, Some(why));
                self.wait(was_oldest, REFUSED_FIRST_WAIT, REFUSED_LONGEST_WAIT);
            }
        }
    }

    /// Lets the oldest wait before its next try; others' failures only make sure that there is one.
    fn wait(&mut self, was_oldest: bool, shortest: Duration, longest: Duration) {
        let wait = match self.retry {
            Some(_) if !was_oldest => return,
            Some(Retry { next_wait, .. }) => next_wait.clamp(shortest, longest),
            None => shortest,
        };
        let at = Instant::now() + wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.retry = Some(Retry { at, next_wait: wait * 2 });
    }

    /// Makes each frame of a batch a batch of its own, so that the one that is refused shows.
    fn split(&mut self, first: u64) {
        let Some(Batch { frames, .. }) = self.batches.remove(&first) else { return };
        for frame in frames {
            self.batches
                .insert(frame.sequence, Batch { frames: vec![frame], state: State::Failed });
        }
    }
}

fn bytes(frames: &[StoredFrame]) -> usize {
    frames.iter().map(|frame| frame.bytes.len()).sum()
}
