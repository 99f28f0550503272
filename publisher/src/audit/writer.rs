//! Writes the trail: what comes at about the same time in one write, on the disk within a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::{BoxError, Condition, Readiness, Stop};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{info, warn};

use super::GAP;
use super::entry::Origin;
use super::head::Kept;
use super::segment::{Segment, entry};
use super::trail::{Queued, Shared};
use crate::blocking::blocking;
use crate::error_chain;
use crate::journal::JournalStore;

/// Lines of one write.
const GROUP_MAX: usize = 4_096;
/// From one write to the next: so that many lines are one write.
const GROUP_EVERY: Duration = Duration::from_millis(10);
/// How often what is written is put on the disk, refusals are counted, and a trail that cannot be written is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How often, in ticks, the journal's store is told where the trail ends, and old files are looked for.
const STORE_EVERY: u64 = 5;
const FORGET_EVERY: u64 = 60;
/// When everyone else has stopped, the last lines come within this.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// At the stop, the journal's store has this long.
const STORE_WITHIN: Duration = Duration::from_secs(1);
/// Room that a line of a human's act must find.
const RESERVE_BYTES: u64 = 1 << 20;

/// Writes what a trail is told.
#[derive(Debug)]
pub(crate) struct AuditWriter {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Queued>,
    /// None while a thread has it.
    segment: Option<Segment>,
    store: JournalStore,
    /// As the journal's store has it.
    kept: Kept,
    storing: Option<JoinHandle<()>>,
    condition: Condition,
    /// Taken from the queue, and not written yet.
    group: Vec<Queued>,
}

impl AuditWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Queued>,
        segment: Segment,
        store: JournalStore,
        kept: Kept,
        condition: Condition,
    ) -> Self {
        condition.set(Readiness::Ready);
        let (segment, group) = (Some(segment), Vec::new());
        Self { shared, queue, segment, store, kept, storing: None, condition, group }
    }

    /// Writes until stopped, and then what is still told.
    pub(crate) async fn run(mut self, stop: Stop) -> Result<(), BoxError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_before = Instant::now();
        let mut tick = 0_u64;
        loop {
            let may_take = self.group.is_empty();
            let taken = async {
                sleep_until(not_before).await;
                self.queue.recv_many(&mut self.group, GROUP_MAX).await
            };
            tokio::select! {
                () = stop.requested() => break,
                _ = ticks.tick() => {
                    tick += 1;
                    self.tick(tick).await?;
                }
                // Given up between two writes, it has taken nothing.
                _ = taken, if may_take => {
                    self.write().await?;
                    not_before = Instant::now() + GROUP_EVERY;
                }
            }
        }
        self.end().await
    }

    /// Writes what was taken, if it can.
    async fn write(&mut self) -> Result<(), BoxError> {
        let group = std::mem::take(&mut self.group);
        let now = self.shared.clock.now();
        let work = move |segment: &mut Segment| {
            let entries = group.iter().filter_map(|queued| match queued {
                Queued::Entry(entry) => Some(entry.as_slice()),
                Queued::Flush(_) => None,
            });
            let written = segment.append(entries, now);
            (group, written)
        };
        let (group, written) = self.blocking(work).await?;
        if let Err(error) = written {
            self.group = group;
            self.fails(&error);
            return Ok(());
        }
        let (mut lines, mut bytes) = (0, 0);
        for queued in group {
            match queued {
                Queued::Entry(entry) => {
                    lines += 1;
                    bytes += entry.len();
                }
                // Whoever asked may have gone.
                Queued::Flush(done) => drop(done.send(())),
            }
        }
        self.shared.metrics.lines.inc_by(lines);
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        // A short line may find room on a disk that is full: whether it works again, the next tick knows.
        if self.shared.works.load(Ordering::Relaxed) { self.works().await } else { Ok(()) }
    }

    fn fails(&mut self, error: &std::io::Error) {
        self.shared.metrics.failures.inc();
        if self.shared.works.swap(false, Ordering::Relaxed) {
            warn!(
                error = error_chain(error),
                "the audit trail cannot be written; it is tried again"
            );
        }
        self.condition.set(Readiness::Degraded(format!(
            "the audit trail cannot be written: {error}; nothing is flushed, dropped or retired until it can"
        )));
    }

    /// Tells the gap, if there was one.
    async fn works(&mut self) -> Result<(), BoxError> {
        if self.shared.works.load(Ordering::Relaxed)
            && self.shared.lost.load(Ordering::Relaxed) == 0
        {
            return Ok(());
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let now = self.shared.clock.now();
            let gap = entry(now, GAP, &json!({"lost": lost}));
            let told = self.blocking(move |segment| segment.append([gap.as_slice()], now)).await?;
            if let Err(error) = told {
                self.shared.lost.fetch_add(lost, Ordering::Relaxed);
                self.fails(&error);
                return Ok(());
            }
            warn!(lost, "lines of the audit trail are lost; it tells how many");
        }
        if !self.shared.works.swap(true, Ordering::Relaxed) {
            info!("the audit trail can be written again");
        }
        self.condition.set(Readiness::Ready);
        Ok(())
    }

    async fn tick(&mut self, tick: u64) -> Result<(), BoxError> {
        let folds = self.shared.folds.lock().take();
        for (alike, more) in folds {
            let mut facts = json!({"kind": alike.kind, "times": more});
            Origin::inside(&alike.who).add_to(&mut facts);
            if !alike.request.is_empty() {
                facts["request"] = alike.request.into();
            }
            if let Some(from) = alike.from {
                facts["from"] = from.to_string().into();
            }
            let what = super::entry::what_of(alike.kind);
            super::Trail::new(Arc::clone(&self.shared)).tell(self.shared.clock.now(), what, &facts);
        }
        if !self.group.is_empty() || self.shared.lost.load(Ordering::Relaxed) > 0 {
            self.write().await?;
        }
        let (now, folder) = (self.shared.clock.now(), self.shared.folder.clone());
        let forgets = tick % FORGET_EVERY == 1;
        let done = self
            .blocking(move |segment| {
                segment.sync()?;
                if forgets {
                    segment.forget(now)?;
                }
                has_room(&folder)
            })
            .await?;
        match done {
            Ok(()) if self.group.is_empty() => self.works().await?,
            Ok(()) => {}
            Err(error) => self.fails(&error),
        }
        if tick.is_multiple_of(STORE_EVERY) {
            self.store();
        }
        Ok(())
    }

    /// Tells the journal's store where the trail ends, without waiting for it: its disk may be full.
    fn store(&mut self) {
        if self.storing.as_ref().is_some_and(|storing| !storing.is_finished()) {
            return;
        }
        let mut tokens = self.shared.tokens.lock();
        let head = Some(*self.shared.head.lock());
        if self.kept.head == head && tokens.1 || !self.store.has_room() {
            return;
        }
        tokens.1 = true;
        self.kept = Kept { head, tokens: Some(tokens.0.clone()) };
        drop(tokens);
        let (kept, database) = (self.kept.clone(), self.store.database());
        self.storing = Some(spawn_blocking(move || {
            if let Err(error) = kept.save(&database) {
                warn!(
                    error = error_chain(&error),
                    "the journal does not know where the audit trail ends"
                );
            }
        }));
    }

    /// The last words of all others, and then our own.
    async fn end(mut self) -> Result<(), BoxError> {
        while !self.group_is_stuck() {
            let taken = self.queue.recv_many(&mut self.group, GROUP_MAX);
            if timeout(LAST_WORDS, taken).await.is_err() {
                break;
            }
            self.write().await?;
        }
        self.shared
            .queue
            .try_send(Queued::Entry(entry(self.shared.clock.now(), "ended", &json!({}))))
            .ok();
        if !self.group_is_stuck() && !self.queue.is_empty() {
            self.queue.recv_many(&mut self.group, GROUP_MAX).await;
            self.write().await?;
        }
        if let Err(error) = self.blocking(Segment::sync).await? {
            self.fails(&error);
        }
        self.store();
        if let Some(storing) = self.storing.take() {
            drop(timeout(STORE_WITHIN, storing).await);
        }
        Ok(())
    }

    /// What could not be written keeps its place; more is not taken.
    fn group_is_stuck(&self) -> bool {
        !self.group.is_empty()
    }

    /// Does work on the end of the trail that blocks on the disk.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Segment) -> T + Send + 'static,
    ) -> Result<T, BoxError> {
        let Some(mut segment) = self.segment.take() else {
            return Err("the end of the audit trail is lost".into());
        };
        let (segment, done) = blocking(move || {
            let done = work(&mut segment);
            (segment, done)
        })
        .await;
        *self.shared.head.lock() = segment.head();
        self.segment = Some(segment);
        Ok(done)
    }
}

fn has_room(folder: &std::path::Path) -> std::io::Result<()> {
    let space = rustix::fs::statvfs(folder)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < RESERVE_BYTES {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
