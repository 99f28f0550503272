//! The component that commits: drains the queue into groups, one commit each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use daemon::{BoxError, Clock, Stop};
use parking_lot::Mutex;
use schemas::api::Durable;
use schemas::{Invalidation, Place, PublisherName};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::commit::{Committed, Desk, Outcome, Wish};
use super::pack::{Scales, Weighed};
use super::receipts::{Caller, Waiting, give};
use super::stream::{Stream, Streams};
use super::{Journal, JournalError, JournalStore, Limits, Request, Shared, lookup, table};
use crate::blocking::blocking;
use crate::outlet::Outlet;

/// Most requests of one commit.
const GROUP_MAX: usize = 1_024;
/// Most bytes of invalidations that wait for their commit, in KiB.
const WAITING_KIB_MAX: u32 = 8 * 1_024;
/// How often old things leave, if no commit takes them along.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// How long after the last commit the store keeps for good what the file before it does.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// So many frames and keys leave in one transaction.
const TIDY_MAX: usize = 1_000;

/// Called for everything numbered, in the order of numbers per line, before its receipt is given.
pub(crate) type OnAccepted = Box<dyn Fn(Place, &Invalidation) + Send + Sync>;

/// What a journal needs.
pub(crate) struct JournalSetup {
    pub(crate) store: JournalStore,
    pub(crate) publisher: PublisherName,
    pub(crate) outlet: Outlet,
    pub(crate) limits: Limits,
    /// Of every topic of the log.
    pub(crate) partitions: u32,
    /// How long a receipt waits for the broker's ack.
    pub(crate) ack_wait: Duration,
    pub(crate) clock: Clock,
    pub(crate) on_accepted: OnAccepted,
}

/// The only one that writes to the journal.
pub(crate) struct Writer {
    desk: Arc<Mutex<Desk>>,
    queue: mpsc::Receiver<Request>,
    clock: Clock,
    on_accepted: OnAccepted,
    streams: Arc<Streams>,
    ack_wait: Duration,
}

/// However the writer ends, nobody waits for ever: what is committed is in the journal.
struct LastWord(Arc<Streams>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl JournalSetup {
    /// The journal, and the component that it needs running. Blocks on the disk.
    pub(crate) fn open(self) -> Result<(Journal, Writer), JournalError> {
        let JournalStore { database, disk, ahead, .. } = self.store;
        table::create(&database, Stream::all(self.partitions))?;
        let streams = Arc::new(Streams::new(lookup::reaches(&database)?));
        let ended = lookup::lines(&database)?.into_iter().map(|(line, _)| line).collect();
        let scales = Scales::new(self.publisher.clone());
        let desk = Desk {
            database: Arc::clone(&database),
            publisher: self.publisher.clone(),
            scales: scales.clone(),
            outlet: self.outlet,
            limits: self.limits,
            disk: Arc::clone(&disk),
            ahead,
            streams: Arc::clone(&streams),
            partitions: self.partitions,
            lines: None,
        };
        let (sender, queue) = mpsc::channel(GROUP_MAX);
        let journal = Journal(Arc::new(Shared {
            database,
            scales,
            publisher: self.publisher,
            queue: sender,
            room: Arc::new(Semaphore::new(WAITING_KIB_MAX as usize)),
            streams: Arc::clone(&streams),
            limits: self.limits,
            disk,
            ended,
        }));
        let desk = Arc::new(Mutex::new(desk));
        let Self { clock, on_accepted, ack_wait, .. } = self;
        Ok((journal, Writer { desk, queue, clock, on_accepted, streams, ack_wait }))
    }
}

impl Writer {
    /// Commits until stopped, and then what is in the queue.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let (streams, ack_wait) = (LastWord(Arc::clone(&self.streams)), self.ack_wait);
        tokio::select! {
            ended = self.write_until(stop) => ended,
            never = streams.0.tend(ack_wait) => match never {},
        }
    }

    async fn write_until(mut self, stop: Stop) -> Result<(), BoxError> {
        let mut tidy = interval_at(Instant::now() + TIDY_EVERY, TIDY_EVERY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut group, mut settle_at) = (Vec::new(), None);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                _ = tidy.tick() => self.tidy().await?,
                () = sleep_until(settle_at.unwrap_or_else(Instant::now)), if settle_at.is_some() => {
                    self.settle().await?;
                    settle_at = None;
                }
                taken = self.queue.recv_many(&mut group, GROUP_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    self.commit(&mut group).await?;
                    settle_at = Some(Instant::now() + SETTLE_AFTER);
                }
            }
        }
        self.queue.close();
        while self.queue.recv_many(&mut group, GROUP_MAX).await > 0 {
            self.commit(&mut group).await?;
        }
        self.tidy().await?;
        Ok(())
    }

    async fn commit(&self, group: &mut Vec<Request>) -> Result<(), JournalError> {
        let mut wishes = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for Request { wish, done, room } in group.drain(..) {
            // Who left before the commit began wants nothing any more.
            if !done.is_closed() {
                wishes.push(wish);
                waiting.push((done, room));
            }
        }
        let Outcome { verdicts, numbered } = self.write(wishes).await?;
        for (place, invalidation) in &numbered {
            (self.on_accepted)(*place, invalidation);
        }
        let mut frames: BTreeMap<(Stream, u64), Vec<Caller>> = BTreeMap::new();
        for ((done, _), verdict) in waiting.into_iter().zip(verdicts) {
            match verdict {
                Err(refusal) => give(done, Err(refusal)),
                Ok(Committed { identity, frame }) => {
                    let caller = Caller { identity, done };
                    match frame {
                        Some(frame) => frames.entry(frame).or_default().push(caller),
                        None => caller.answer(Durable::Broker),
                    }
                }
            }
        }
        let until = Instant::now() + self.ack_wait;
        for ((stream, sequence), callers) in frames {
            self.streams.answer(stream, Waiting { sequence, until, callers });
        }
        Ok(())
    }

    async fn write(&self, wishes: Vec<Wish>) -> Result<Outcome, JournalError> {
        let (desk, now) = (Arc::clone(&self.desk), self.clock.now());
        blocking(move || desk.lock().commit(wishes, now)).await
    }

    async fn settle(&self) -> Result<(), JournalError> {
        let desk = Arc::clone(&self.desk);
        blocking(move || desk.lock().settle()).await
    }

    async fn tidy(&self) -> Result<(), JournalError> {
        loop {
            let (desk, now) = (Arc::clone(&self.desk), self.clock.now());
            if !blocking(move || desk.lock().tidy(now, TIDY_MAX)).await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
impl Writer {
    /// What it writes at.
    pub(super) fn desk(&self) -> Arc<Mutex<Desk>> {
        Arc::clone(&self.desk)
    }
}

/// What an invalidation takes of the room for those that wait.
pub(super) fn room(weighed: &Weighed) -> u32 {
    let kib = weighed.bytes.div_ceil(1_024);
    u32::try_from(kib).unwrap_or(u32::MAX).clamp(1, WAITING_KIB_MAX)
}

impl fmt::Debug for JournalSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalSetup").field("publisher", &self.publisher).finish_non_exhaustive()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("desk", &self.desk).finish_non_exhaustive()
    }
}
