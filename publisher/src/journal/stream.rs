//! The streams of a journal, and how far each is committed and forwarded, as everyone in the process may see and
//! await it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use broker_adapter::{Partition, Topic};
use schemas::api::Durable;
use schemas::{Priority, SiteName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::fresh::Fresh;
use super::lookup::StoredFrame;
use super::receipts::{Receipts, Waiting};
use super::table::{StreamKey, StreamState};

/// However short callers' patience is.
const TEND_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// One topic partition, as a publisher writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stream {
    pub(crate) priority: Priority,
    pub(crate) partition: Partition,
}

impl Stream {
    /// Every stream of topics with so many partitions.
    pub(crate) fn all(partitions: u32) -> impl Iterator<Item = Self> {
        let partitions = 0..partitions.max(1);
        partitions.map(Partition).flat_map(|partition| {
            Priority::ALL.into_iter().map(move |priority| Self { priority, partition })
        })
    }

    /// Where a site's invalidations go: CRC-32C of its name, modulo the partitions. This never changes, so that all
    /// publishers agree and a site keeps its order.
    pub(crate) fn of_site(priority: Priority, site: &SiteName, partitions: u32) -> Self {
        let partition = Partition(crc32c::crc32c(site.as_str().as_bytes()) % partitions.max(1));
        Self { priority, partition }
    }

    pub(crate) fn topic(self) -> Topic {
        Topic::log(self.priority.as_str())
    }

    pub(super) fn key(self) -> StreamKey {
        (self.priority.as_str(), self.partition.0)
    }

    /// The stream of a key; `None` for a topic that this build does not know.
    pub(super) fn from_key((topic, partition): (&str, u32)) -> Option<Self> {
        let priority = Priority::ALL.into_iter().find(|priority| priority.as_str() == topic)?;
        Some(Self { priority, partition: Partition(partition) })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.priority, self.partition.0)
    }
}

/// How far one stream has come: sequences below `forwarded` the broker has, those below `end` the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) end: u64,
    pub(crate) forwarded: u64,
}

impl From<StreamState> for Reach {
    fn from(state: StreamState) -> Self {
        Self { end: state.end, forwarded: state.forwarded }
    }
}

/// All streams of a journal: those of today's partitions, and those that an earlier life wrote.
#[derive(Debug)]
pub(super) struct Streams(BTreeMap<Stream, Watched>);

#[derive(Debug)]
struct Watched {
    reach: watch::Sender<Reach>,
    fresh: Fresh,
    receipts: Receipts,
}

impl Streams {
    pub(super) fn new(reaches: BTreeMap<Stream, Reach>) -> Self {
        let watched = |(stream, reach): (Stream, Reach)| {
            let reach = watch::Sender::new(reach);
            (stream, Watched { reach, fresh: Fresh::default(), receipts: Receipts::default() })
        };
        Self(reaches.into_iter().map(watched).collect())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Stream> {
        self.0.keys().copied()
    }

    pub(super) fn reach(&self, stream: Stream) -> Reach {
        self.0.get(&stream).map_or_else(Reach::default, |watched| *watched.reach.borrow())
    }

    /// Every stream with what the broker has of it.
    pub(super) fn forwarded(&self) -> BTreeMap<Stream, u64> {
        self.0.iter().map(|(stream, watched)| (*stream, watched.reach.borrow().forwarded)).collect()
    }

    /// How far a stream has come, now and later.
    pub(super) fn watch(&self, stream: Stream) -> watch::Receiver<Reach> {
        let watched = self.0.get(&stream);
        watched
            .map_or_else(|| watch::channel(Reach::default()).1, |watched| watched.reach.subscribe())
    }

    /// Holds frames that are committed for who forwards them, until the broker has them.
    pub(super) fn hold(&self, stream: Stream, frame: StoredFrame) {
        if let Some(watched) = self.0.get(&stream) {
            watched.fresh.add(frame);
        }
    }

    /// Frames that are held, from a sequence on; none where that one is not.
    pub(super) fn fresh_from(
        &self,
        stream: Stream,
        sequence: u64,
        bytes_max: usize,
    ) -> Vec<StoredFrame> {
        let watched = self.0.get(&stream);
        watched.map_or_else(Vec::new, |watched| watched.fresh.from(sequence, bytes_max))
    }

    /// It has come at least as far as this.
    pub(super) fn advance(&self, stream: Stream, to: Reach) {
        let Some(watched) = self.0.get(&stream) else { return };
        watched.reach.send_if_modified(|reach| {
            let before = *reach;
            reach.end = reach.end.max(to.end);
            reach.forwarded = reach.forwarded.max(to.forwarded);
            *reach != before
        });
        watched.fresh.forwarded(to.forwarded);
        watched.receipts.acked(to.forwarded);
    }

    /// Gives callers of a frame their receipts: as soon as the broker has it, or when their patience ends.
    pub(super) fn answer(&self, stream: Stream, waiting: Waiting) {
        let Some(watched) = self.0.get(&stream) else {
            return waiting.callers.into_iter().for_each(|caller| caller.answer(Durable::Journal));
        };
        watched.receipts.hold(waiting);
        // An ack that came before they were held is known by now.
        let forwarded = watched.reach.borrow().forwarded;
        watched.receipts.acked(forwarded);
        // Nor does anyone wait who has no patience at all.
        watched.receipts.overdue(Instant::now());
    }

    /// Ends the patience of callers in time, each of whom waits for `ack_wait`; for ever.
    pub(super) async fn tend(&self, ack_wait: Duration) -> Infallible {
        loop {
            let now = Instant::now();
            let next = self.0.values().filter_map(|watched| watched.receipts.overdue(now)).min();
            // Whoever comes until then has patience at least until then.
            sleep_until(next.unwrap_or(now + ack_wait.max(TEND_AT_MOST_EVERY))).await;
        }
    }

    /// Gives everyone who waits a receipt now.
    pub(super) fn end(&self) {
        self.0.values().for_each(|watched| watched.receipts.end());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_site_keeps_its_partition_for_ever() {
        let partition = |site: &str, partitions| {
            Stream::of_site(Priority::Normal, &site.parse().unwrap(), partitions).partition.0
        };
        assert_eq!(["main", "shop", "blog"].map(|site| partition(site, 1)), [0, 0, 0]);
        // CRC-32C ("Castagnoli") of the name, as any language computes it.
        assert_eq!(partition("123456789", u32::MAX), 0xe306_9283);
        assert_eq!(partition("123456789", 12), 0xe306_9283 % 12);
        let spread: BTreeSet<_> = (0..100).map(|n| partition(&format!("site-{n}"), 8)).collect();
        assert_eq!(spread.len(), 8, "every partition is used");
    }
}
