//! One thread of each log: looks for new partitions, and shows lag tools how far the readers are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;
use tracing::debug;

use super::asker::{Asker, id};
use super::client::Settings;
use super::source::Source;
use super::thread;
use super::trouble::Trouble;
use super::voice::Voice;
use crate::{BrokerError, Partition, Position, Positions};

/// A static assignment never hears of a new partition: topics are looked up this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Positions are committed this often, when they have changed.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// Stands for a number of partitions not known yet.
const NOT_LOOKED: u32 = u32::MAX;
/// The thread looks for its end this often.
const POLL: Duration = Duration::from_millis(100);

/// What one reader and the watch know of each other.
#[derive(Debug)]
pub(super) struct Seen {
    topic: String,
    partitions: AtomicU32,
    next: Mutex<Positions>,
}

impl Seen {
    /// How many partitions the topic was last seen with; 0 where there was no such topic.
    pub(super) fn partitions(&self) -> Option<u32> {
        Some(self.partitions.load(Ordering::Relaxed)).filter(|count| *count != NOT_LOOKED)
    }

    /// The reader goes on here.
    pub(super) fn place(&self, next: &Positions) {
        self.next.lock().clone_from(next);
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    asker: Asker,
    readers: Arc<Mutex<Vec<Weak<Seen>>>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn start(settings: &Settings, trouble: &Trouble) -> Result<Self, BrokerError> {
        let voice = Voice::new(trouble.clone());
        let source = Source::start(settings.read(false), voice.clone())?;
        let asker = Asker::new(settings, trouble)?;
        let readers = Arc::<Mutex<Vec<Weak<Seen>>>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            source,
            voice,
            asker: asker.clone(),
            readers: Arc::clone(&readers),
            committed: BTreeMap::new(),
        };
        let stopped = Arc::clone(&stop);
        thread::start("kafka-watch", move || work.run(&stopped))?;
        Ok(Self { asker, readers, stop })
    }

    /// For questions about the cluster.
    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Watches the topic of a reader as long as the reader keeps what it gets.
    pub(super) fn over(&self, topic: &str) -> Arc<Seen> {
        let seen = Arc::new(Seen {
            topic: topic.to_owned(),
            partitions: AtomicU32::new(NOT_LOOKED),
            next: Mutex::default(),
        });
        self.readers.lock().push(Arc::downgrade(&seen));
        seen
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// The next record to read of each partition of each topic, by the slowest reader.
type Committed = BTreeMap<(String, Partition), Position>;

struct Work {
    source: Source,
    voice: Voice,
    asker: Asker,
    readers: Arc<Mutex<Vec<Weak<Seen>>>>,
    committed: Committed,
}

impl Work {
    fn run(&mut self, stop: &AtomicBool) {
        let start = Instant::now();
        let (mut look_at, mut commit_at) = (start + LOOK_EVERY, start + COMMIT_EVERY);
        while !stop.load(Ordering::Acquire) {
            self.listen(POLL);
            let now = Instant::now();
            if now >= look_at {
                self.look();
                look_at = Instant::now() + LOOK_EVERY;
            }
            if now >= commit_at {
                self.commit();
                commit_at = now + COMMIT_EVERY;
            }
        }
        self.commit();
    }

    /// Serves what librdkafka has to say; nothing is assigned, so no record comes.
    fn listen(&self, within: Duration) {
        drop(self.source.poll(within));
    }

    fn look(&mut self) {
        let readers = self.readers();
        if let Some(seen) = readers.first()
            && self.source.mind_silence(false, &seen.topic)
        {
            self.committed.clear();
        }
        let mut topics: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
        for seen in &readers {
            topics.entry(&seen.topic).or_default().push(seen);
        }
        for (topic, readers) in topics {
            match self.asker.partitions(topic) {
                Ok(partitions) => {
                    for seen in readers {
                        seen.partitions.store(partitions.unwrap_or(0), Ordering::Relaxed);
                    }
                }
                Err(error) => debug!(topic, %error, "cannot look for new partitions"),
            }
        }
    }

    fn commit(&mut self) {
        if self.voice.commits_refused() {
            return;
        }
        let mut next = Committed::new();
        for seen in self.readers() {
            for (partition, position) in &*seen.next.lock() {
                let slowest = next.entry((seen.topic.clone(), *partition)).or_insert(*position);
                *slowest = (*slowest).min(*position);
            }
        }
        if next.is_empty() || next == self.committed {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), position) in &next {
            let offset = Offset::Offset(i64::try_from(position.0).unwrap_or(i64::MAX));
            // An offset that cannot be committed is left out.
            offsets.add_partition_offset(topic, id(partition.0), offset).ok();
        }
        match self.source.commit(&offsets) {
            Ok(()) => self.committed = next,
            Err(error) => debug!(%error, "positions not committed"),
        }
    }

    fn readers(&self) -> Vec<Arc<Seen>> {
        let mut readers = self.readers.lock();
        readers.retain(|seen| seen.strong_count() > 0);
        readers.iter().filter_map(Weak::upgrade).collect()
    }
}
