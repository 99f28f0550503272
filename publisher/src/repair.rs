//! Sends frames again that lanes report as missing, byte for byte from the journal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Delivery, Partition, Start, Topic};
use daemon::{BoxError, Stop};
use schemas::{BoardMessage, LineId, Number, NumberRange, Place, Priority, REPORTS_BOARD, wire};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::error_chain;
use crate::journal::{Journal, StoredFrame};
use crate::metrics::Metrics;
use crate::outlet::frame_message;

/// One repair of a frame serves all lanes that lack it.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Most frames sent again for one hole of one report; the next report asks for the rest.
const FRAMES_MAX: usize = 64;
/// Most reports read at once.
const READ_MAX: usize = 256;
/// Longest wait for the broker.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Agents speak each second: a board silent for this long has lost us, or there are none.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a broker that failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// The one who repairs.
#[derive(Debug)]
pub(crate) struct Repairer {
    journal: Journal,
    broker: Arc<dyn Broker>,
    metrics: Metrics,
    /// When each frame was last sent again.
    repaired: HashMap<(LineId, Number), Instant>,
}

impl Repairer {
    pub(crate) fn new(journal: Journal, broker: Arc<dyn Broker>, metrics: Metrics) -> Self {
        Self { journal, broker, metrics, repaired: HashMap::new() }
    }

    /// Repairs until stopped.
    pub(crate) async fn run(mut self, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => Ok(()),
            failure = self.repair() => Err(failure),
        }
    }

    async fn repair(&mut self) -> BoxError {
        loop {
            match self.listen().await {
                Ok(()) => {}
                Err(Trouble::Journal(error)) => return error,
                Err(Trouble::Broker(trouble)) => {
                    warn!(error = error_chain(trouble.as_ref()), "no repairs for a moment");
                    sleep(REST).await;
                }
            }
        }
    }

    /// Repairs as long as reports come.
    async fn listen(&mut self) -> Result<(), Trouble> {
        let board = Topic::board(REPORTS_BOARD);
        let subscribed = timeout(ANSWER_WITHIN, self.broker.subscribe(board, Start::Oldest));
        let mut reports = subscribed.await??;
        while let Ok(deliveries) = timeout(SILENCE, reports.read(READ_MAX)).await {
            let now = Instant::now();
            self.repaired.retain(|_, at| now.duration_since(*at) < AGAIN_AFTER);
            for (line, numbers) in holes(&deliveries?) {
                self.fill(line, numbers).await?;
            }
        }
        Ok(())
    }

    /// Sends the frames of a hole again, if they are ours and were not sent just now.
    async fn fill(&mut self, line: LineId, numbers: NumberRange) -> Result<(), Trouble> {
        let found = self.journal.frames_of(line, numbers, FRAMES_MAX).await;
        let found = found.map_err(|error| Trouble::Journal(error.into()))?;
        let Some((priority, frames)) = found else { return Ok(()) };
        for frame in frames {
            let Place { line, number } = frame.first;
            if self.repaired.contains_key(&(line, number)) {
                continue;
            }
            self.send_again(priority, frame).await?;
            self.repaired.insert((line, number), Instant::now());
            self.metrics.repaired();
            info!(%line, number, "sent a frame again that a lane lacks");
        }
        Ok(())
    }

    async fn send_again(&self, priority: Priority, frame: StoredFrame) -> Result<(), Trouble> {
        let message = frame_message(frame.first, fastrand::u64(1..), frame.bytes);
        let topic = Topic::log(priority.as_str());
        let published = self.broker.publish(topic, Partition::default(), vec![message]);
        Ok(timeout(ANSWER_WITHIN, published).await??)
    }
}

/// What keeps from repairing: the broker, to be tried again, or the journal.
enum Trouble {
    Broker(BoxError),
    Journal(BoxError),
}

impl From<BrokerError> for Trouble {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error.into())
    }
}

impl From<tokio::time::error::Elapsed> for Trouble {
    fn from(late: tokio::time::error::Elapsed) -> Self {
        Self::Broker(late.into())
    }
}

/// Every hole in some reports; what is not understood is counted by the tracker, who reads the same board.
fn holes(deliveries: &[Delivery]) -> Vec<(LineId, NumberRange)> {
    let holes = deliveries
        .iter()
        .filter_map(|delivery| match wire::decode_board(&delivery.body) {
            Ok(BoardMessage::Report(report)) => Some(report),
            Ok(BoardMessage::Incarnation(_) | BoardMessage::Retirement(_)) | Err(_) => None,
        })
        .flat_map(|report| report.caches)
        .flat_map(|cache| cache.lanes)
        .flat_map(|lane| lane.lines)
        .flat_map(|line| line.holes.into_iter().map(move |numbers| (line.line, numbers)));
    holes.collect()
}
