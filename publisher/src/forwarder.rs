//! Takes a stream's frames from the journal to the broker: in order, pipelined, each as often as it takes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Topic};
use daemon::{BoxError, Stop};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use schemas::{LineId, PUBLISHERS_BOARD, Priority};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::error_chain;
use crate::journal::{Journal, Reach, StoredFrame};
use crate::outlet::frame_message;

/// Most frames on their way at once: a reader's grace for holes covers what lands out of order.
const IN_FLIGHT_MAX: usize = 32;
/// Most bytes of frames read from the journal at once.
const READ_BYTES_MAX: usize = 1 << 20;
/// Longest wait for an ack. What is late may still land, so it is sent again under the same message id.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);
/// Wait after the first failure; it doubles with each, up to the longest, and is jittered.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// On a stop, frames on their way have so long to land.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The forwarder of one stream. Where the log shares the journal's store it finds nothing to do, but for what an
/// earlier life left behind.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pub(crate) journal: Journal,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) priority: Priority,
}

/// Frames on their way; each ends with its sequence.
type InFlight = FuturesOrdered<BoxFuture<'static, u64>>;

impl Forwarder {
    /// Forwards until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let mut reach = self.journal.watch(self.priority);
        let mut next = reach.borrow().forwarded;
        let mut read = VecDeque::new();
        let mut in_flight = InFlight::new();
        let mut announced = None;
        loop {
            // A shared log gets frames without the forwarder, which must not overtake the writer's word of it:
            // a commit can be read a moment before it is told.
            let Reach { end, forwarded } = *reach.borrow();
            next = next.max(forwarded);
            if in_flight.len() < IN_FLIGHT_MAX && read.is_empty() && next < end {
                let frames = self.journal.frames_from(self.priority, next, READ_BYTES_MAX).await?;
                read.extend(frames.into_iter().take_while(|frame| frame.sequence < end));
            }
            while in_flight.len() < IN_FLIGHT_MAX
                && let Some(frame) = read.pop_front()
            {
                if announced != Some(frame.first.line) {
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        line = self.announce(&frame) => announced = Some(line?),
                    }
                }
                next = frame.sequence + 1;
                in_flight.push_back(self.forward(frame));
            }
            tokio::select! {
                () = stop.requested() => break,
                Some(sequence) = in_flight.next() => self.landed(sequence),
                _ = reach.wait_for(|reach| reach.end > next.max(reach.forwarded)), if in_flight.len() < IN_FLIGHT_MAX => {}
            }
        }
        let finish = async {
            while let Some(sequence) = in_flight.next().await {
                self.landed(sequence);
            }
        };
        if timeout(FINISH_WITHIN, finish).await.is_err() {
            warn!(topic = %self.priority, "frames stay in the journal until the next start");
        }
        Ok(())
    }

    fn landed(&self, sequence: u64) {
        self.journal.forwarded(self.priority, sequence + 1);
    }

    /// Says on the board who speaks on the frame's line, before the frame is heard.
    async fn announce(&self, frame: &StoredFrame) -> Result<LineId, BoxError> {
        if let Some(body) = self.journal.announced().await? {
            let key = Some(self.journal.publisher().to_string());
            let message = Message { key, id: None, body };
            let board = Topic::board(PUBLISHERS_BOARD);
            publish_at_last(Arc::clone(&self.broker), board, message).await;
        }
        Ok(frame.first.line)
    }

    fn forward(&self, frame: StoredFrame) -> BoxFuture<'static, u64> {
        let StoredFrame { sequence, first, bytes } = frame;
        let topic = Topic::log(self.priority.as_str());
        let published =
            publish_at_last(Arc::clone(&self.broker), topic, frame_message(first, 0, bytes));
        Box::pin(async move {
            published.await;
            sequence
        })
    }
}

/// Publishes as often as it takes.
async fn publish_at_last(broker: Arc<dyn Broker>, topic: Topic, message: Message) {
    let mut wait = FIRST_WAIT;
    loop {
        let published = broker.publish(topic, Partition::default(), vec![message.clone()]);
        match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => warn!(%topic, error = error_chain(&error), "frame not taken"),
            Err(_) => warn!(%topic, "frame not taken: the broker does not answer"),
        }
        sleep(wait.mul_f64(fastrand::f64())).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

#[cfg(test)]
mod tests;
