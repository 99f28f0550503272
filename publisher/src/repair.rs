//! Answers holes that lanes report: sends frames again, byte for byte from the journal, or says that they are lost.

#[cfg(test)]
mod tests;
mod wanted;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Delivery, Message, Partition, Start, Topic};
use daemon::{BoxError, Stop};
use schemas::{
    AgentName, BoardMessage, LineId, LogMessage, Lost, NumberRange, REPORTS_BOARD, Report, wire,
};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};
use uuid::Uuid;

use crate::error_chain;
use crate::journal::{Journal, JournalError, Kept, Stream};
use crate::metrics::Metrics;
use crate::outlet::frame_message;
use wanted::{Hole, Wanted};

/// Most reports read at once.
const READ_MAX: usize = 256;
/// Most agents whose latest report is remembered.
const AGENTS_MAX: usize = 16_384;
/// Bytes of frames of one answer.
const ANSWER_BYTES: usize = 256 << 10;
/// Answers leave at this pace at most, so that they delay no live frame by more than one of them.
const BYTES_PER_SECOND: f64 = (8 << 20) as f64;
const MESSAGES_PER_SECOND: f64 = 4_096.0;
/// Longest wait for the broker.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Agents speak each second: a board silent for this long has lost us, or there are none.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a broker that failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// Whether the publisher of a line is gone for good, so that anyone may say that its numbers are lost.
pub(crate) type Retired = Arc<dyn Fn(LineId) -> bool + Send + Sync>;

/// The one who repairs.
pub(crate) struct Repairer {
    journal: Journal,
    broker: Arc<dyn Broker>,
    metrics: Metrics,
    retired: Retired,
    started: Instant,
    wanted: Wanted,
    /// The latest report of each agent: one on the board of an agent that is gone asks once.
    seen: HashMap<AgentName, (Uuid, u64)>,
    /// When the next answer may leave.
    next_at: Instant,
}

impl Repairer {
    pub(crate) fn new(
        journal: Journal,
        broker: Arc<dyn Broker>,
        metrics: Metrics,
        retired: Retired,
    ) -> Self {
        let now = Instant::now();
        let (wanted, seen) = (Wanted::default(), HashMap::new());
        Self { journal, broker, metrics, retired, started: now, wanted, seen, next_at: now }
    }

    /// Repairs until stopped.
    pub(crate) async fn run(mut self, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => Ok(()),
            failure = self.repair() => Err(failure.into()),
        }
    }

    async fn repair(&mut self) -> JournalError {
        loop {
            match self.listen().await {
                Ok(()) => {}
                Err(Trouble::Journal(error)) => return error,
                Err(Trouble::Broker(trouble)) => {
                    warn!(error = error_chain(trouble.as_ref()), "no repairs for a moment");
                    self.next_at = Instant::now() + REST;
                    sleep_until(self.next_at).await;
                }
            }
        }
    }

    /// Repairs as long as reports come.
    async fn listen(&mut self) -> Result<(), Trouble> {
        let board = Topic::board(REPORTS_BOARD);
        let subscribed = timeout(ANSWER_WITHIN, self.broker.subscribe(board, Start::Oldest));
        let mut reports = subscribed.await??;
        let mut heard_at = Instant::now();
        while heard_at.elapsed() < SILENCE {
            let (busy, next_at, silent_at) =
                (!self.wanted.is_empty(), self.next_at, heard_at + SILENCE);
            tokio::select! {
                read = reports.read(READ_MAX) => {
                    heard_at = Instant::now();
                    self.note(&read?);
                }
                () = sleep_until(next_at), if busy => self.answer_next().await?,
                () = sleep_until(silent_at) => {}
            }
        }
        Ok(())
    }

    /// Takes the holes of new reports; what is not understood is counted by the tracker, who reads the same board.
    fn note(&mut self, deliveries: &[Delivery]) {
        let now = self.started.elapsed();
        self.wanted.forget(now);
        for delivery in deliveries {
            if let Ok(BoardMessage::Report(report)) = wire::decode_board(&delivery.body)
                && self.is_news(&report)
            {
                holes(*report).for_each(|hole| self.wanted.add(hole, now));
            }
        }
    }

    fn is_news(&mut self, report: &Report) -> bool {
        let this = (report.instance, report.sequence);
        if self.seen.len() >= AGENTS_MAX {
            self.seen.clear();
        }
        self.seen.insert(report.agent.clone(), this) != Some(this)
    }

    /// Answers the next hole, or as much of it as one answer holds.
    async fn answer_next(&mut self) -> Result<(), Trouble> {
        let Some(hole) = self.wanted.next() else { return Ok(()) };
        let Hole { line, priority, numbers } = hole;
        match self.journal.kept(line, numbers, ANSWER_BYTES).await? {
            Some(kept) => self.answer(hole, kept).await,
            None if (self.retired)(line) => {
                let stream = Stream { priority, partition: Partition::default() };
                self.lose(line, stream, vec![numbers]).await?;
                self.settled(line, numbers, 0, 1);
                Ok(())
            }
            // Its own publisher answers.
            None => Ok(()),
        }
    }

    async fn answer(&mut self, hole: Hole, kept: Kept) -> Result<(), Trouble> {
        let Hole { line, numbers, .. } = hole;
        let Kept { stream, frames, gone, rest } = kept;
        let last = rest.map_or(numbers.last, |rest| rest.first - 1);
        let messages = frames.len() + gone.len();
        let bytes: u64 = frames.iter().map(|frame| frame.bytes.len() as u64).sum();
        self.lose(line, stream, gone).await?;
        if self.wanted.may_send(line, self.started.elapsed()) {
            // Never the id of an earlier attempt: a broker that has forgotten the message may remember its id.
            let epoch = fastrand::u64(1..);
            let again =
                frames.into_iter().map(|frame| frame_message(frame.first, epoch, frame.bytes));
            let again: Vec<Message> = again.collect();
            let count = again.len() as u64;
            self.publish(stream, again).await?;
            self.metrics.repaired(count);
            info!(%line, %stream, frames = count, first = numbers.first, last, "sent again what a lane lacks");
        } else {
            warn!(%line, %stream, first = numbers.first, last, "a hole is too large to be filled; lanes flush");
        }
        self.settled(line, NumberRange { first: numbers.first, last }, bytes, messages);
        if let Some(rest) = rest {
            self.wanted.later(Hole { numbers: rest, ..hole });
        }
        Ok(())
    }

    /// Says which numbers nobody can send any more.
    async fn lose(
        &self,
        line: LineId,
        stream: Stream,
        gone: Vec<NumberRange>,
    ) -> Result<(), Trouble> {
        let publisher = self.journal.publisher();
        let said = gone.iter().map(|numbers| {
            let lost = Lost { publisher: publisher.clone(), line, numbers: *numbers };
            Message { key: None, id: None, body: wire::encode_log(&LogMessage::Lost(lost)) }
        });
        self.publish(stream, said.collect()).await?;
        for NumberRange { first, last } in gone {
            self.metrics.lost(last - first + 1);
            warn!(%line, %stream, first, last, "numbers are lost; whoever lacks them flushes");
        }
        Ok(())
    }

    async fn publish(&self, stream: Stream, messages: Vec<Message>) -> Result<(), Trouble> {
        if messages.is_empty() {
            return Ok(());
        }
        let published = self.broker.publish(stream.topic(), stream.partition, messages);
        match timeout(ANSWER_WITHIN, published).await? {
            Err(error @ BrokerError::Refused(_)) => {
                // It would be refused again; others' holes must not wait for it.
                warn!(%stream, error = error_chain(&error), "the broker refuses a repair");
                Ok(())
            }
            published => Ok(published?),
        }
    }

    fn settled(&mut self, line: LineId, numbers: NumberRange, bytes: u64, messages: usize) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "some megabytes at most")]
        let seconds =
            (bytes as f64 / BYTES_PER_SECOND).max(f64::from(messages) / MESSAGES_PER_SECOND);
        self.next_at = Instant::now() + Duration::from_secs_f64(seconds);
        self.wanted.answered(line, numbers, bytes, self.started.elapsed());
    }
}

impl fmt::Debug for Repairer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repairer").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What keeps from repairing: the broker, to be tried again, or the journal.
enum Trouble {
    Broker(BoxError),
    Journal(JournalError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
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

/// Every hole in a report.
fn holes(report: Report) -> impl Iterator<Item = Hole> {
    report.caches.into_iter().flat_map(|cache| cache.lanes).flat_map(|lane| {
        let priority = lane.priority;
        lane.lines.into_iter().flat_map(move |line| {
            let holes = line.holes.into_iter();
            holes.map(move |numbers| Hole { line: line.line, priority, numbers })
        })
    })
}
