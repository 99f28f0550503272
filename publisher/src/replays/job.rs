//! One replay at work: reads, publishes at its rate, remembers how far it is.

use std::time::Duration;

use broker_adapter::{Delivery, Topic};
use daemon::Stop;
use futures::future::join_all;
use schemas::api::{Durable, ReplayCounts, ReplayState};
use schemas::{Invalidation, Priority};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;
use uuid::Uuid;

use super::Shared;
use super::book::Entry;
use super::breath::Breath;
use super::choice::Choice;
use super::sieve::{Fate, Seen, Sieve, Sifted};
use super::store::{self, Change, StoreError};
use super::walk::{Walk, WalkError};
use crate::audit::Origin;
use crate::error_chain;
use crate::handle::named_regions;
use crate::handle::naming::named_at;
use crate::journal::{Refusal, Stream};

/// It publishes in bursts this far apart, of at most so many: each is a commit that others may have to wait for, so that
/// few large ones leave more of the time to them than many small ones.
const BURST_EVERY: Duration = Duration::from_millis(250);
const BURST_MAX: u32 = 250;
/// How often it is stored how far it is: whoever goes on after a crash repeats no more than this.
const STORE_EVERY: Duration = Duration::from_secs(1);
/// How long it waits for a broker or a journal that does not work now.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a job does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    /// A human has stopped it.
    #[error("it was cancelled")]
    Cancelled,
    /// The publisher stops; the next one goes on.
    #[error("the publisher is stopping")]
    Stopping,
    /// The log has let go of what comes next.
    #[error("{0}")]
    Overtaken(String),
    /// How far it is could not be stored.
    #[error("the table of replays failed")]
    Store(#[from] StoreError),
}

/// One replay at work.
pub(super) struct Job<'a> {
    shared: &'a Shared,
    id: Uuid,
    entry: Entry,
    sieve: Sieve,
    walk: Walk,
    stop: Stop,
    /// When the next burst may go.
    next: Instant,
    stored: Instant,
    breath: Breath,
}

impl<'a> Job<'a> {
    pub(super) fn new(shared: &'a Shared, entry: Entry, stop: Stop) -> Self {
        let choice = Choice::new(entry.replay.filter.clone());
        let (since, cursor) = (entry.replay.filter.since, entry.cursor.clone());
        Self {
            shared,
            id: entry.replay.id,
            sieve: shared.sieve(choice),
            walk: Walk::new(shared.broker.clone(), since, cursor),
            entry,
            stop,
            next: Instant::now(),
            stored: Instant::now(),
            breath: Breath::default(),
        }
    }

    /// Publishes all that fits, until the end or until it is stopped.
    pub(super) async fn run(mut self) {
        let ended = self.work().await;
        let (state, error) = match ended {
            Ok(()) => (ReplayState::Done, None),
            Err(Halt::Cancelled) => (ReplayState::Cancelled, None),
            Err(Halt::Stopping) => (ReplayState::Running, None),
            Err(error) => {
                warn!(id = %self.id, error = error_chain(&error), "a replay does not go on");
                (ReplayState::Failed, Some(error_chain(&error)))
            }
        };
        let replay = &mut self.entry.replay;
        replay.waits = None;
        replay.error = error;
        if state != ReplayState::Running {
            replay.ended_at = Some(self.shared.clock.now());
        }
        replay.state = state;
        // Told when it is stored: nobody shall resume what a crash would show as running.
        let stored = self.store(store::Durable::Now).await;
        if let Err(error) = stored {
            warn!(id = %self.id, error = error_chain(&error), "how a replay ended is not stored");
        }
        self.show();
    }

    async fn work(&mut self) -> Result<(), Halt> {
        let mut seen = Seen::default();
        loop {
            let read = tokio::select! {
                read = self.walk.next() => read,
                halt = halted(&self.entry.cancel, &self.stop) => return Err(halt),
            };
            let (priority, deliveries) = match read {
                Ok(Some(read)) => read,
                Ok(None) => return Ok(()),
                Err(error @ WalkError::Overtaken) => {
                    return Err(Halt::Overtaken(error.to_string()));
                }
                Err(error) => {
                    self.wait_for(error_chain(&error)).await?;
                    continue;
                }
            };
            self.entry.replay.waits = None;
            for delivery in deliveries {
                self.take(&mut seen, priority, &delivery).await?;
            }
            self.keep().await?;
        }
    }

    /// Publishes what fits of one message.
    async fn take(
        &mut self,
        seen: &mut Seen,
        priority: Priority,
        delivery: &Delivery,
    ) -> Result<(), Halt> {
        let began = Instant::now();
        let stream = Stream { priority, partition: delivery.partition };
        let topic = Topic::log(priority.as_str());
        let skip = self.walk.cursor().done_of(stream, delivery.position);
        let sifted = self.sieve.sift(seen, topic, delivery, skip, self.shared.clock.now());
        self.breath.take(began).await;
        for some in sifted.chunks(burst(self.entry.replay.rate)) {
            self.publish(some).await?;
            let done = some.last().map_or(0, |last| last.index + 1);
            self.walk.cursor_mut().pass_within(stream, delivery.position, done);
            self.keep().await?;
        }
        self.walk.cursor_mut().pass(stream, delivery.position);
        Ok(())
    }

    /// Publishes a burst, however long that takes, and counts it.
    async fn publish(&mut self, sifted: &[Sifted]) -> Result<(), Halt> {
        let again = sifted.iter().filter(|sifted| sifted.fate == Fate::Again);
        let mut left: Vec<&Invalidation> = again.map(|sifted| &sifted.invalidation).collect();
        let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
        if count > 0 {
            tokio::select! {
                () = sleep_until(self.next) => {}
                halt = halted(&self.entry.cancel, &self.stop) => return Err(halt),
            }
            let pause = Duration::from_secs(1) * count / self.entry.replay.rate.max(1);
            self.next = self.next.max(Instant::now()) + pause;
        }
        while !left.is_empty() {
            let by = &self.entry.replay.by;
            let burst = left.iter().map(|first| self.shared.publish(by, &self.sieve, first));
            let outcomes = join_all(burst).await;
            if outcomes.contains(&Err(Refusal::Stopping)) {
                return Err(Halt::Stopping);
            }
            let behind = outcomes.contains(&Ok(Durable::Journal));
            let refused = outcomes.iter().find_map(|outcome| outcome.err());
            let mut outcomes = outcomes.into_iter();
            left.retain(|_| outcomes.next().is_some_and(|outcome| outcome.is_err()));
            if let Some(refusal) = refused {
                self.wait_for(refusal.to_string()).await?;
            } else if behind {
                // What is live shall not wait behind what is old once the broker is back.
                self.wait_for("the broker does not take what is published".to_owned()).await?;
            }
        }
        let replay = &mut self.entry.replay;
        replay.published += u64::from(count);
        self.shared.metrics.replayed(u64::from(count));
        let counts: &mut ReplayCounts = &mut replay.counts;
        for sifted in sifted {
            self.sieve.count(counts, sifted);
        }
        Ok(())
    }

    /// Tells what it waits for, and waits a moment.
    async fn wait_for(&mut self, what: String) -> Result<(), Halt> {
        self.entry.replay.waits = Some(what);
        self.show();
        tokio::select! {
            () = sleep(TRY_AGAIN_AFTER) => Ok(()),
            halt = halted(&self.entry.cancel, &self.stop) => Err(halt),
        }
    }

    /// Shows how far it is, and stores that now and then.
    async fn keep(&mut self) -> Result<(), Halt> {
        self.show();
        if self.stored.elapsed() >= STORE_EVERY {
            self.store(store::Durable::Soon).await?;
        }
        if self.entry.cancel.is_requested() {
            return Err(Halt::Cancelled);
        }
        if self.stop.is_requested() { Err(Halt::Stopping) } else { Ok(()) }
    }

    fn show(&mut self) {
        let cursor = self.walk.cursor().clone();
        let replay = &mut self.entry.replay;
        (replay.read, replay.to_read) = cursor.progress();
        self.shared.show(replay.clone(), cursor);
    }

    async fn store(&mut self, durable: store::Durable) -> Result<(), StoreError> {
        let cursor = self.walk.cursor().clone();
        let mut replay = self.entry.replay.clone();
        (replay.read, replay.to_read) = cursor.progress();
        let changes = vec![Change::Put(Box::new(replay), cursor)];
        self.shared.store.change(changes, durable).await?;
        self.stored = Instant::now();
        Ok(())
    }
}

impl Shared {
    async fn publish(
        &self,
        by: &str,
        sieve: &Sieve,
        first: &Invalidation,
    ) -> Result<Durable, Refusal> {
        let (id, now) = named_at(self.clock.now());
        let again = sieve.choice().again(first, id, now);
        let named = named_regions(&self.sites, &again.site, &again.audience);
        let line = self.trail.publishing(Origin::inside(by), &again, named);
        let accepted = self.journal.accept(again, None).await;
        if let Some(line) = line {
            line.tell(id, &accepted);
        }
        accepted.map(|receipt| receipt.durable)
    }
}

/// Waits until it has to end. Cancel-safe.
async fn halted(cancel: &Stop, stop: &Stop) -> Halt {
    tokio::select! {
        () = cancel.requested() => Halt::Cancelled,
        () = stop.requested() => Halt::Stopping,
    }
}

/// How many are published at once at that rate.
fn burst(rate: u32) -> usize {
    let per_second = u32::try_from(Duration::from_secs(1).as_millis() / BURST_EVERY.as_millis());
    let burst = (rate / per_second.unwrap_or(1)).clamp(1, BURST_MAX);
    usize::try_from(burst).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::burst;

    #[test]
    fn bursts_are_few_and_bounded_whatever_the_rate() {
        assert_eq!([1, 7, 200, 1_000, 10_000].map(burst), [1, 1, 50, 250, 250]);
    }
}
