//! Takes a stream's frames from the journal to the broker: in order, pipelined, each as often as it takes.

mod announcer;
mod pipeline;
#[cfg(test)]
pub(crate) mod tests;
mod trouble;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Stop};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::journal::{Journal, JournalError, Reach, StoredFrame, Stream};
use crate::metrics::Metrics;
use pipeline::Pipeline;

pub(crate) use announcer::Announcer;
pub(crate) use trouble::Troubles;

/// Most frames and bytes that travel together; one larger frame travels alone.
const BATCH_FRAMES_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Wait after the board did not take who speaks.
const BOARD_WAIT: Duration = Duration::from_secs(1);
/// How long frames wait for a board that takes nothing, while the log takes messages.
const BOARD_PATIENCE: Duration = Duration::from_secs(10);
/// On a stop, frames on their way have so long to land.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The forwarder of one stream. Where the log shares the journal's store it finds nothing to do, but for what an
/// earlier life left behind.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pub(crate) journal: Journal,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) stream: Stream,
    pub(crate) announcer: Announcer,
    pub(crate) troubles: Troubles,
    pub(crate) metrics: Metrics,
}

impl Forwarder {
    /// Forwards until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let (broker, troubles) = (Arc::clone(&self.broker), self.troubles.clone());
        let mut pipeline = Pipeline::new(broker, self.stream, troubles, self.metrics.clone());
        tokio::select! {
            () = stop.requested() => {}
            failure = self.forward(&mut pipeline) => return Err(failure.into()),
        }
        let finish = async {
            while !pipeline.is_idle() {
                self.landed(pipeline.step().await);
            }
        };
        if timeout(FINISH_WITHIN, finish).await.is_err() {
            warn!(stream = %self.stream, "frames stay in the journal until the next start");
        }
        Ok(())
    }

    async fn forward(&self, pipeline: &mut Pipeline) -> JournalError {
        let mut reach = self.journal.watch(self.stream);
        let mut next = reach.borrow().forwarded;
        let mut announced = None;
        loop {
            // A shared log gets frames without the forwarder, which must not overtake the writer's word of it:
            // a commit can be read a moment before it is told.
            let Reach { end, forwarded } = *reach.borrow();
            next = next.max(forwarded);
            if pipeline.has_room() && next < end {
                let frames = match self.meanwhile(pipeline, self.read(next, end)).await {
                    Ok(frames) => frames,
                    Err(error) => return error,
                };
                let Some(last) = frames.last() else {
                    next = end;
                    continue;
                };
                next = last.sequence + 1;
                let line = last.first.line;
                if announced != Some(line) {
                    if let Err(error) = self.meanwhile(pipeline, self.announce()).await {
                        return error;
                    }
                    announced = Some(line);
                }
                pipeline.send(frames);
                self.landed(pipeline.nudge().await);
                continue;
            }
            tokio::select! {
                landed = pipeline.step() => self.landed(landed),
                _ = reach.wait_for(|reach| reach.end > next.max(reach.forwarded)), if pipeline.has_room() => {}
            }
        }
    }

    /// Does other work while frames on their way go on: one that nobody attends to may hold what the broker needs
    /// for that work.
    async fn meanwhile<T>(&self, pipeline: &mut Pipeline, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                landed = pipeline.step() => self.landed(landed),
            }
        }
    }

    /// The next frames of one line that travel together.
    async fn read(&self, next: u64, end: u64) -> Result<Vec<StoredFrame>, JournalError> {
        let mut frames = self.journal.fresh_from(self.stream, next, BATCH_BYTES_MAX);
        if frames.is_empty() {
            frames = self.journal.frames_from(self.stream, next, BATCH_BYTES_MAX).await?;
        }
        let line = frames.first().map(|frame| frame.first.line);
        let together = |frame: &StoredFrame| frame.sequence < end && Some(frame.first.line) == line;
        Ok(frames.into_iter().take_while(together).take(BATCH_FRAMES_MAX).collect())
    }

    fn landed(&self, forwarded: Option<u64>) {
        if let Some(forwarded) = forwarded {
            self.journal.forwarded(self.stream, forwarded);
        }
    }

    /// Says on the board who speaks, before that is heard. Where only the board takes nothing, frames do not wait
    /// for it for long: heartbeats tell the same numbers, and the announcer keeps trying.
    async fn announce(&self) -> Result<(), JournalError> {
        let since = Instant::now();
        while !self.announcer.announce().await? {
            if since.elapsed() >= BOARD_PATIENCE && self.troubles.alive(self.stream) {
                warn!(stream = %self.stream, "frames leave before the board says who speaks");
                return Ok(());
            }
            sleep(BOARD_WAIT).await;
        }
        Ok(())
    }
}
