//! Finds on the log what is not in this journal: what another publisher accepted, or an incarnation that this
//! journal has forgotten.
//!
//! An id carries the millisecond in which it was accepted, so that only what the broker took since then is read:
//! until it is found, until the end (then it is not there), or until time is up (then nobody knows).

mod filter;
mod found;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Broker, BrokerError, Delivery, Partition, Start, Topic};
use daemon::Clock;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use schemas::{Frame, LineId, LogMessage, Number, Place, Priority, PublisherName, wire};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::journal::Stream;

pub(crate) use filter::Filter;
pub(crate) use found::Found;
use found::Remembered;
pub(crate) use page::Newest;

/// Longest search; whoever asks waits for no longer than this.
const SEARCH_WITHIN: Duration = Duration::from_secs(5);
/// Most messages of one topic read in one search.
const MESSAGES_MAX: usize = 100_000;
/// Most searches at once; others wait their turn, within their time.
const SEARCHES_MAX: usize = 2;
/// Most messages read at once.
const READ_MAX: usize = 256;
/// So much earlier than it was accepted its broker may say that it came: clocks differ. First the likely.
pub(crate) const SLACKS: [SignedDuration; 2] =
    [SignedDuration::from_secs(2), SignedDuration::from_mins(2)];
/// Longest search for a publisher's last numbers.
const HEADS_WITHIN: Duration = Duration::from_secs(3);

/// Why it is not known whether an invalidation is on the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// There was more to read than there was time.
    #[error("the log since then is longer than could be read in time")]
    Undecided,
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Broker(#[source] BrokerError),
}

/// The last number of a line that the log has shown, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stream: Stream,
    pub(crate) last: Number,
}

/// Searches the log. Bounded in time, messages, parallel searches and memory.
#[derive(Debug)]
pub(crate) struct Searcher {
    broker: Arc<dyn Broker>,
    clock: Clock,
    turns: Semaphore,
    remembered: Mutex<Remembered>,
}

impl Searcher {
    pub(crate) fn new(broker: Arc<dyn Broker>, clock: Clock) -> Self {
        let (turns, remembered) = (Semaphore::new(SEARCHES_MAX), Mutex::default());
        Self { broker, clock, turns, remembered }
    }

    /// The invalidation of that id, if the log has it.
    pub(crate) async fn find(&self, id: Uuid) -> Result<Option<Found>, SearchError> {
        let Some(accepted_at) = time_of(id) else { return Ok(None) };
        if accepted_at > later(self.clock.now(), SLACKS[1]) {
            return Ok(None);
        }
        if let Some(found) = self.remembered.lock().get(id) {
            return Ok(Some(found));
        }
        let deadline = Instant::now() + SEARCH_WITHIN;
        let turn = timeout_at(deadline, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| SearchError::Undecided)?;
        for slack in SLACKS {
            let since = later(accepted_at, -slack);
            if let Some(found) = self.find_since(id, since, deadline).await? {
                self.remembered.lock().keep(id, found.clone());
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The last numbers of each line of a publisher that the log has shown since then, and where, as far as time
    /// allows.
    pub(crate) async fn heads(
        &self,
        publisher: &PublisherName,
        since: Timestamp,
    ) -> BTreeMap<LineId, Head> {
        let deadline = Instant::now() + HEADS_WITHIN;
        let heads = &Mutex::new(BTreeMap::new());
        let [critical, normal] = Priority::ALL.map(|priority| {
            let look = move |message: LogMessage, partition| {
                let stream = Stream { priority, partition };
                for (line, last) in heads_in(&message, publisher) {
                    let mut heads = heads.lock();
                    let head = heads.entry(line).or_insert(Head { stream, last });
                    head.last = last.max(head.last);
                }
                ControlFlow::<()>::Continue(())
            };
            read_on(self.broker.as_ref(), priority, since..Timestamp::MAX, deadline, look)
        });
        // Whatever was not read in time shows later as numbers above what was said.
        drop(tokio::join!(critical, normal));
        std::mem::take(&mut heads.lock())
    }

    async fn find_since(
        &self,
        id: Uuid,
        since: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Found>, SearchError> {
        let look = |message: LogMessage, _| match message {
            LogMessage::Frame(frame) => {
                found_in(frame, id).map_or(ControlFlow::Continue(()), ControlFlow::Break)
            }
            LogMessage::Heartbeat(_) | LogMessage::Lost(_) => ControlFlow::Continue(()),
        };
        let [critical, normal] = Priority::ALL.map(|priority| {
            Box::pin(read_on(self.broker.as_ref(), priority, since..Timestamp::MAX, deadline, look))
        });
        let (first, other) = match futures::future::select(critical, normal).await {
            futures::future::Either::Left(ended) | futures::future::Either::Right(ended) => ended,
        };
        match first {
            Ok(Some(found)) => Ok(Some(found)),
            // That one topic could not be read does not matter if the other has it.
            first => match (first, other.await) {
                (_, Ok(Some(found))) => Ok(Some(found)),
                (Ok(_), Ok(_)) => Ok(None),
                (Err(error), _) | (_, Err(error)) => Err(error),
            },
        }
    }
}

/// Reads what one topic took in that time until `look` breaks, or up to its present end.
async fn read_on<T>(
    broker: &dyn Broker,
    priority: Priority,
    taken: Range<Timestamp>,
    deadline: Instant,
    mut look: impl FnMut(LogMessage, Partition) -> ControlFlow<T>,
) -> Result<Option<T>, SearchError> {
    let topic = Topic::log(priority.as_str());
    let late = |_| SearchError::Undecided;
    let bounds = timeout_at(deadline, broker.bounds(topic)).await.map_err(late)?;
    let mut unread = Unread::of(bounds.map_err(SearchError::Broker)?);
    if unread.is_over() {
        return Ok(None);
    }
    let subscribed = broker.subscribe(topic, Start::Since(taken.start));
    let subscribed = timeout_at(deadline, subscribed).await.map_err(late)?;
    let mut subscription = subscribed.map_err(SearchError::Broker)?;
    let mut messages = 0;
    while messages < MESSAGES_MAX {
        let read = timeout_at(deadline, subscription.read(READ_MAX)).await.map_err(late)?;
        for delivery in read.map_err(SearchError::Broker)? {
            messages += 1;
            unread.read(&delivery, taken.end);
            let message = wire::decode_log(&delivery.body).ok();
            let seen = message.map(|message| look(message, delivery.partition));
            if let Some(ControlFlow::Break(found)) = seen {
                return Ok(Some(found));
            }
        }
        if unread.is_over() {
            return Ok(None);
        }
    }
    Err(SearchError::Undecided)
}

/// Up to where each partition has to be read. Where nothing was kept since then, the next heartbeat shows it: each
/// publisher beats on every partition.
#[derive(Debug)]
struct Unread(Vec<(Partition, u64)>);

impl Unread {
    fn of(bounds: Bounds) -> Self {
        let filled = bounds.into_iter().filter(|(_, bounds)| bounds.end > bounds.first);
        Self(filled.map(|(partition, bounds)| (partition, bounds.end.0)).collect())
    }

    /// Nothing after `until` has to be read.
    fn read(&mut self, delivery: &Delivery, until: Timestamp) {
        let next = if delivery.time > until { u64::MAX } else { delivery.position.0 + 1 };
        self.0.retain(|(partition, end)| *partition != delivery.partition || next < *end);
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

fn found_in(mut frame: Frame, id: Uuid) -> Option<Found> {
    let at = frame.invalidations.iter().position(|invalidation| invalidation.id == id)?;
    let number = frame.first + Number::try_from(at).ok()?;
    let invalidation = Arc::new(frame.invalidations.swap_remove(at));
    Some(Found { place: Place { line: frame.line, number }, invalidation })
}

fn heads_in(message: &LogMessage, publisher: &PublisherName) -> BTreeSet<(LineId, Number)> {
    match message {
        LogMessage::Frame(frame) if frame.publisher == *publisher => {
            BTreeSet::from([(frame.line, frame.numbers().last)])
        }
        LogMessage::Heartbeat(heartbeat) if heartbeat.publisher == *publisher => {
            heartbeat.lines.iter().copied().collect()
        }
        _ => BTreeSet::new(),
    }
}

/// When the id was given; `None` if no publisher gave it.
pub(crate) fn time_of(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanoseconds) =
        (id.get_version_num() == 7).then(|| id.get_timestamp())??.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

pub(crate) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
