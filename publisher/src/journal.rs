//! The journal: gives every accepted invalidation its number, on disk, before anyone hears of it.
//!
//! ```text
//! accept --> queue --> [ group --> one commit: numbers, frames, ids, keys (and the shared log) ] --> receipts
//!                                        |
//!                                        +--> forwarder, heartbeats, repairs read the frames, byte for byte
//! ```
//!
//! A commit takes whatever has come since the last one began, so it never waits when idle.

mod ahead;
mod commit;
mod disk;
mod failure;
mod file;
mod fresh;
mod holes;
mod lookup;
mod open;
mod pack;
mod receipts;
mod recent;
mod replay;
mod retention;
mod seal;
mod standing;
mod stream;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use redb::{Database, Error};
use schemas::api::Durable;
use schemas::{Invalidation, LineId, NumberRange, Place, Priority, PublisherName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

pub use ahead::fuzzing;
pub use failure::JournalError;
pub(crate) use holes::Kept;
pub(crate) use lookup::StoredFrame;
pub use open::JournalStore;
pub(crate) use standing::Standing;
pub(crate) use stream::{Reach, Stream};
pub(crate) use writer::{JournalSetup, Writer};

use commit::Wish;
use disk::Disk;
use pack::Scales;
use stream::Streams;

use crate::blocking::blocking;

/// Most replays shown of one invalidation.
const REPLAYS_SHOWN_MAX: usize = 100;

/// How much the journal keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most bytes of frames.
    pub(crate) bytes: u64,
    /// How long frames are kept that the broker has.
    pub(crate) retention: Duration,
    /// How long frames may wait for the broker before nothing more is taken.
    pub(crate) age: Duration,
}

/// Lines closed for longer than the retention are remembered for so much longer.
const REMEMBERED_LONGER: SignedDuration = SignedDuration::from_hours(24);

impl Limits {
    /// Whether what waits for the broker since then has waited for too long.
    pub(crate) fn overdue(self, since: Timestamp, now: Timestamp) -> bool {
        now.duration_since(since).unsigned_abs() > self.age && since < now
    }

    fn retained_since(self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.retention).unwrap_or(Timestamp::MIN)
    }

    /// A line closed before is forgotten.
    pub(crate) fn remembered_since(self, now: Timestamp) -> Timestamp {
        self.retained_since(now).checked_sub(REMEMBERED_LONGER).unwrap_or(Timestamp::MIN)
    }
}

/// Lets a repeated request find what the first became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Idempotency {
    /// Digest of who asked, and of the key.
    pub(crate) key: [u8; 32],
    /// Digest of what was asked.
    pub(crate) request: [u8; 32],
}

/// What an invalidation is known by once it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    id: Uuid,
    place: Place,
    accepted_at: Timestamp,
}

/// The proof that an invalidation is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Its name for users.
    pub(crate) id: Uuid,
    /// Its place for ever.
    pub(crate) place: Place,
    /// Where it is safe by now.
    pub(crate) durable: Durable,
    /// When it was accepted; before now where the request was a repetition.
    pub(crate) accepted_at: Timestamp,
}

/// Why the journal did not take an invalidation. It stored nothing then, but where it is `Stopping` or `DiskFull` and
/// had begun a commit, which may still land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("another request came with the same idempotency key")]
    Conflict,
    #[error("the journal is full of invalidations that the broker does not take")]
    Full,
    #[error("the broker has taken nothing from the journal for too long")]
    Overdue,
    #[error("the journal's disk is full")]
    DiskFull,
    #[error("the publisher is stopping")]
    Stopping,
}

/// Accepts and finds invalidations. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: Arc<Database>,
    scales: Scales,
    publisher: PublisherName,
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    streams: Arc<Streams>,
    limits: Limits,
    disk: Arc<Disk>,
    /// Lines of earlier lives: no number is ever given in them again.
    ended: HashSet<LineId>,
}

/// A wish in the queue.
#[derive(Debug)]
struct Request {
    wish: Wish,
    done: oneshot::Sender<Result<Receipt, Refusal>>,
    /// Given back when it is dropped.
    room: OwnedSemaphorePermit,
}

impl Journal {
    /// Who speaks in it.
    pub(crate) fn publisher(&self) -> &PublisherName {
        &self.0.publisher
    }

    /// Numbers and stores an invalidation; waits for the broker's ack for a short while, too.
    pub(crate) async fn accept(
        &self,
        invalidation: Invalidation,
        idempotency: Option<Idempotency>,
    ) -> Result<Receipt, Refusal> {
        tokio::select! {
            biased;
            receipt = self.number(invalidation, idempotency) => receipt,
            () = self.0.disk.is_stuck() => Err(Refusal::DiskFull),
        }
    }

    async fn number(
        &self,
        invalidation: Invalidation,
        idempotency: Option<Idempotency>,
    ) -> Result<Receipt, Refusal> {
        let weighed = self.0.scales.weigh(invalidation);
        let room = Arc::clone(&self.0.room)
            .acquire_many_owned(writer::room(&weighed))
            .await
            .map_err(|_| Refusal::Stopping)?;
        let (done, verdict) = oneshot::channel();
        let request = Request { wish: Wish { weighed, idempotency }, done, room };
        self.0.queue.send(request).await.map_err(|_| Refusal::Stopping)?;
        verdict.await.map_err(|_| Refusal::Stopping)?
    }

    /// The invalidation of that id, while the journal keeps it.
    pub(crate) async fn find(
        &self,
        id: Uuid,
    ) -> Result<Option<(Place, Invalidation)>, JournalError> {
        self.read(move |database| lookup::invalidation(database, id)).await
    }

    /// By which of its invalidations one was published again: the latest, newest first.
    pub(crate) async fn replays_of(&self, origin: Uuid) -> Result<Vec<Uuid>, JournalError> {
        self.read(move |database| lookup::replays_of(database, origin, REPLAYS_SHOWN_MAX)).await
    }

    /// Shows what it keeps of these ids to `look`, the newest first, until that breaks or enough was read; answers
    /// the last id shown where something may be left.
    pub(crate) async fn recent<T: Send + 'static>(
        &self,
        ids: Range<u128>,
        found: T,
        look: impl FnMut(&mut T, Place, &Invalidation) -> ControlFlow<()> + Send + 'static,
    ) -> Result<(T, Option<u128>), JournalError> {
        self.read(move |database| recent::recent(database, ids, found, look)).await
    }

    /// Every stream: of today's partitions, and of those that an earlier life wrote.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        self.0.streams.all().collect()
    }

    /// Frames from a sequence on, at most `bytes_max`, but at least one if there is one.
    pub(crate) async fn frames_from(
        &self,
        stream: Stream,
        sequence: u64,
        bytes_max: usize,
    ) -> Result<Vec<StoredFrame>, JournalError> {
        self.read(move |database| lookup::frames_from(database, stream, sequence, bytes_max)).await
    }

    /// The same of what was committed a moment ago, without a look at the disk; none where it takes that look.
    pub(crate) fn fresh_from(
        &self,
        stream: Stream,
        sequence: u64,
        bytes_max: usize,
    ) -> Vec<StoredFrame> {
        self.0.streams.fresh_from(stream, sequence, bytes_max)
    }

    /// What it keeps of these numbers, frames of about `bytes_max`; `None` if the line is not of this journal.
    pub(crate) async fn kept(
        &self,
        line: LineId,
        numbers: NumberRange,
        bytes_max: usize,
    ) -> Result<Option<Kept>, JournalError> {
        let growing = !self.0.ended.contains(&line);
        let streams = Arc::clone(&self.0.streams);
        self.read(move |database| {
            holes::kept(database, &streams, line, numbers, growing, bytes_max)
        })
        .await
    }

    /// How it stands to the broker.
    pub(crate) async fn standing(&self, now: Timestamp) -> Result<Standing, JournalError> {
        let (forwarded, limits) = (self.0.streams.forwarded(), self.0.limits);
        let disk = Arc::clone(&self.0.disk);
        self.read(move |database| {
            let standing = standing::standing(database, &forwarded, limits, now)?;
            Ok(Standing { disk_full: !disk.has_room(), ..standing })
        })
        .await
    }

    /// What it keeps at most.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Every line that has numbers.
    pub(crate) async fn lines(&self) -> Result<Vec<(LineId, Priority)>, JournalError> {
        self.read(lookup::lines).await
    }

    /// What the board says of this publisher, once an incarnation has begun.
    pub(crate) async fn announced(&self) -> Result<Option<Bytes>, JournalError> {
        self.read(lookup::announced).await
    }

    /// How far a stream has come, now and later.
    pub(crate) fn watch(&self, stream: Stream) -> watch::Receiver<Reach> {
        self.0.streams.watch(stream)
    }

    /// The broker has everything of a stream below the sequence `forwarded`.
    pub(crate) fn forwarded(&self, stream: Stream, forwarded: u64) {
        self.0.streams.advance(stream, Reach { end: forwarded, forwarded });
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, JournalError> {
        let database = Arc::clone(&self.0.database);
        Ok(blocking(move || read(&database)).await?)
    }
}
