//! A reader on a thread of its own, which feeds a subscription through a bounded channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::asker::{Asker, id, within};
use super::client::Settings;
use super::fold::Fold;
use super::source::Source;
use super::subscription::{Batch, KafkaSubscription};
use super::thread;
use super::trouble::{Failure, Trouble};
use super::voice::Voice;
use super::watch::{Seen, Watch};
use crate::{
    Bounds, BrokerError, Delivery, Partition, Position, Positions, Start, Subscription, Topic,
    TopicKind,
};

/// Batches that wait for the subscription.
const BATCHES: usize = 2;
/// Most deliveries of a batch.
const BATCH_MAX: usize = 1_000;
/// A batch beyond this is handed over.
const BATCH_BYTES: usize = 1 << 20;
/// Bodies of a log share allocations of about this size.
const SHARED_BYTES: usize = 64 << 10;
/// The thread looks around this often when nothing comes.
const POLL: Duration = Duration::from_millis(100);
/// A topic that is gone is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a reader needs.
pub(super) struct Task<'a> {
    pub(super) settings: &'a Settings,
    pub(super) trouble: &'a Trouble,
    pub(super) watch: &'a Watch,
    pub(super) topic: Topic,
    pub(super) name: String,
    pub(super) start: Start,
}

impl Task<'_> {
    /// Returns when it is decided where each partition begins.
    pub(super) async fn begin(self) -> Result<Box<dyn Subscription>, BrokerError> {
        let tell_ends = self.topic.kind() == TopicKind::Board;
        let voice = Voice::new(self.trouble.clone());
        let config = self.settings.read(tell_ends);
        let source = Source::start(config, voice)?;
        let (outbox, inbox) = mpsc::channel(BATCHES);
        let (begun, beginning) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut reader = Reader {
            source,
            asker: self.watch.asker().clone(),
            trouble: self.trouble.clone(),
            seen: self.watch.over(&self.name),
            topic: self.topic,
            name: self.name,
            next: Positions::new(),
            fold: None,
            bodies: BytesMut::new(),
            outbox,
            stop: Arc::clone(&stop),
        };
        let subscription = KafkaSubscription::new(inbox, stop);
        let start = self.start;
        thread::start(&format!("kafka-{}", self.topic.name()), move || {
            let placed = reader.begin(&start);
            let go = placed.is_ok();
            if begun.send(placed).is_ok() && go {
                reader.run();
            }
        })?;
        beginning.await.map_err(|error| Failure::unavailable("start a Kafka reader", error))??;
        Ok(Box::new(subscription))
    }
}

/// The thread's side.
struct Reader {
    source: Source,
    asker: Asker,
    trouble: Trouble,
    seen: Arc<Seen>,
    topic: Topic,
    name: String,
    next: Positions,
    fold: Option<Fold>,
    bodies: BytesMut,
    outbox: mpsc::Sender<Batch>,
    stop: Arc<AtomicBool>,
}

/// What keeps a reader from reading on as it did.
enum Turn {
    /// Where each partition goes on must be decided anew.
    Place(Distrust),
    /// Nothing will come any more.
    End(BrokerError),
}

/// Which partitions are read from their oldest again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distrust {
    /// Those that have lost their place.
    Lost,
    /// Those that have lost their place; at least one has, though it may not show any more.
    AtLeastOne,
    /// All: what was read is not what is there.
    All,
}

/// What one poll gave.
enum Polled {
    Nothing,
    Record(Delivery),
    /// A record that says that its key is gone.
    Tombstone(Delivery),
    End(Partition),
    Error(KafkaError),
}

impl Reader {
    fn begin(&mut self, start: &Start) -> Result<(), BrokerError> {
        let whole = self.topic.kind() == TopicKind::Board && *start != Start::Newest;
        let oldest = Start::Oldest;
        let (next, bounds) = self.asker.place(&self.name, if whole { &oldest } else { start })?;
        if whole {
            self.fold = Fold::until(&bounds);
        }
        self.go_on_at(next)
    }

    fn go_on_at(&mut self, next: Positions) -> Result<(), BrokerError> {
        let failed = |error: KafkaError| Failure::unavailable("assign partitions", error);
        let mut assignment = TopicPartitionList::new();
        for (partition, position) in &next {
            let offset = Offset::Offset(i64::try_from(position.0).unwrap_or(i64::MAX));
            assignment.add_partition_offset(&self.name, id(partition.0), offset).map_err(failed)?;
        }
        self.source.assign(&assignment).map_err(failed)?;
        self.seen.place(&next);
        self.next = next;
        Ok(())
    }

    fn run(&mut self) {
        let mut gone = false;
        while !self.stopped() {
            let (batch, turn) = self.collect();
            self.seen.place(&self.next);
            if self.source.mind_silence(!batch.is_empty(), &self.name)
                && let Err(error) = self.go_on_at(self.next.clone())
            {
                warn!(topic = %self.name, %error, "cannot go on reading");
            }
            if !batch.is_empty() && self.outbox.blocking_send(Ok(batch)).is_err() {
                return;
            }
            let turn = turn.or_else(|| self.look_around(&mut gone));
            match turn {
                None => {}
                Some(Turn::Place(distrust)) => self.place_again(distrust),
                Some(Turn::End(error)) => {
                    // Nobody reads any more where it cannot be sent.
                    self.outbox.blocking_send(Err(error)).ok();
                    return;
                }
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// What is there, after waiting for the first of it.
    fn collect(&mut self) -> (Vec<Delivery>, Option<Turn>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut patience = POLL;
        while batch.len() < BATCH_MAX && bytes < BATCH_BYTES {
            match self.poll(patience) {
                Polled::Nothing => break,
                Polled::Record(delivery) => {
                    bytes += delivery.body.len();
                    self.take(delivery, false, &mut batch);
                }
                Polled::Tombstone(delivery) => self.take(delivery, true, &mut batch),
                Polled::End(partition) => {
                    if let Some(fold) = &mut self.fold {
                        fold.reached_end(partition);
                        self.unfold(&mut batch);
                    }
                }
                Polled::Error(error) => {
                    if let Some(turn) = self.turn(&error) {
                        return (batch, Some(turn));
                    }
                }
            }
            patience = Duration::ZERO;
        }
        (batch, None)
    }

    fn poll(&mut self, patience: Duration) -> Polled {
        match self.source.poll(patience) {
            None => Polled::Nothing,
            Some(Ok(message)) => {
                let board = self.topic.kind() == TopicKind::Board;
                let tombstone = board && message.payload().is_none();
                let body = message.payload().unwrap_or_default();
                // Of a board, one may be kept for long while the others are gone.
                let body = if board {
                    Bytes::copy_from_slice(body)
                } else {
                    shared(&mut self.bodies, body)
                };
                let delivery = delivery(&message, board, body);
                if tombstone { Polled::Tombstone(delivery) } else { Polled::Record(delivery) }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                Polled::End(Partition(u32::try_from(partition).unwrap_or(u32::MAX)))
            }
            Some(Err(error)) => Polled::Error(error),
        }
    }

    fn take(&mut self, delivery: Delivery, tombstone: bool, batch: &mut Vec<Delivery>) {
        let next = Position(delivery.position.0.saturating_add(1));
        self.next.insert(delivery.partition, next);
        match &mut self.fold {
            Some(fold) => {
                fold.take(delivery, tombstone);
                self.unfold(batch);
            }
            None if tombstone => {}
            None => batch.push(delivery),
        }
    }

    /// Gives what the fold holds once it may be given.
    fn unfold(&mut self, batch: &mut Vec<Delivery>) {
        if let Some(fold) = &mut self.fold {
            batch.extend(fold.given());
            if fold.is_over() {
                self.fold = None;
            }
        }
    }

    fn turn(&self, error: &KafkaError) -> Option<Turn> {
        let topic = &self.name;
        let code = error.rdkafka_error_code();
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(_), _)
            | (_, Some(Code::TopicAuthorizationFailed)) => {
                let error = self.trouble.error(format!("read topic {topic}"), code);
                Some(Turn::End(error))
            }
            (_, Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => {
                Some(Turn::Place(Distrust::AtLeastOne))
            }
            (_, Some(Code::LogTruncation)) => Some(Turn::Place(Distrust::All)),
            (_, Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)) => {
                Some(Turn::Place(Distrust::Lost))
            }
            // Connections come and go; librdkafka makes new ones.
            (
                _,
                Some(
                    Code::AllBrokersDown
                    | Code::BrokerTransportFailure
                    | Code::Resolve
                    // The group is for lag tools; the watch tells what they miss.
                    | Code::GroupAuthorizationFailed,
                ),
            ) => None,
            _ => {
                warn!(%topic, %error, "trouble while reading");
                None
            }
        }
    }

    /// What the watch has seen meanwhile.
    fn look_around(&self, gone: &mut bool) -> Option<Turn> {
        let partitions = self.seen.partitions()?;
        let was_gone = std::mem::replace(gone, partitions == 0);
        if was_gone && !*gone {
            return Some(Turn::Place(Distrust::All));
        }
        let more = usize::try_from(partitions).is_ok_and(|count| count > self.next.len());
        more.then_some(Turn::Place(Distrust::Lost))
    }

    /// Goes on where it was wherever that is still there, else at the oldest; waits for a topic that is gone.
    fn place_again(&mut self, distrust: Distrust) {
        let mut looked_in_vain = 0;
        while !self.stopped() {
            let placed = self.asker.bounds(&self.name).and_then(|bounds| {
                let anew = distrust == Distrust::All || looked_in_vain > 1;
                let next = self.next_within(&bounds, distrust, anew);
                if self.fold.is_some() {
                    self.fold = Fold::until(&bounds);
                }
                info!(topic = %self.name, ?distrust, ?next, "reading goes on");
                self.go_on_at(next)
            });
            match placed {
                Ok(()) => return,
                Err(error) => {
                    let causes = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(topic = %self.name, ?causes, "cannot go on reading yet");
                }
            }
            looked_in_vain += 1;
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    fn next_within(&self, bounds: &Bounds, distrust: Distrust, anew: bool) -> Positions {
        let oldest = || bounds.iter().map(|(partition, kept)| (*partition, kept.first)).collect();
        if anew || self.fold.is_some() {
            return oldest();
        }
        let kept = |partition: &Partition| self.next.get(partition).copied();
        let next: Positions = bounds
            .iter()
            .map(|(partition, bounds)| (*partition, within(kept(partition), *bounds)))
            .collect();
        let all_kept = self.next.iter().all(|(partition, at)| next.get(partition) == Some(at));
        if all_kept && distrust == Distrust::AtLeastOne { oldest() } else { next }
    }
}

/// A copy of `body` beside those before it, as far as there is room there.
fn shared(bodies: &mut BytesMut, body: &[u8]) -> Bytes {
    if bodies.capacity() < body.len() {
        *bodies = BytesMut::with_capacity(SHARED_BYTES.max(body.len()));
    }
    bodies.extend_from_slice(body);
    bodies.split().freeze()
}

fn delivery(message: &BorrowedMessage<'_>, board: bool, body: Bytes) -> Delivery {
    let time = message.timestamp().to_millis().unwrap_or(0);
    let key = || String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
    Delivery {
        partition: Partition(u32::try_from(message.partition()).unwrap_or(u32::MAX)),
        position: Position(message.offset().max(0).unsigned_abs()),
        time: Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH),
        key: board.then(key),
        body,
    }
}
