//! The newest frames of a stream, in memory until the broker has them: who forwards them need not read them back.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::lookup::StoredFrame;

/// Most bytes held of one stream. Older frames are read from the disk: then the broker is what takes time.
pub(super) const BYTES_MAX: usize = 256 << 10;

/// The newest frames of one stream, without a gap.
#[derive(Debug, Default)]
pub(super) struct Fresh(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    frames: VecDeque<StoredFrame>,
    bytes: usize,
}

impl Fresh {
    /// One more, committed after all before.
    pub(super) fn add(&self, frame: StoredFrame) {
        let mut held = self.0.lock();
        held.bytes += frame.bytes.len();
        held.frames.push_back(frame);
        while held.bytes > BYTES_MAX {
            held.drop_oldest();
        }
    }

    /// Frames from `sequence` on, at most `bytes_max`, but at least one; none where that one is not held.
    pub(super) fn from(&self, sequence: u64, bytes_max: usize) -> Vec<StoredFrame> {
        let held = self.0.lock();
        let at = held.frames.partition_point(|frame| frame.sequence < sequence);
        if held.frames.get(at).is_none_or(|first| first.sequence > sequence) {
            return Vec::new();
        }
        let mut bytes = 0;
        let fits = |frame: &&StoredFrame| {
            bytes += frame.bytes.len();
            bytes <= bytes_max || frame.sequence == sequence
        };
        held.frames.range(at..).take_while(fits).cloned().collect()
    }

    /// The broker has everything below the sequence `forwarded`.
    pub(super) fn forwarded(&self, forwarded: u64) {
        let mut held = self.0.lock();
        while held.frames.front().is_some_and(|oldest| oldest.sequence < forwarded) {
            held.drop_oldest();
        }
    }
}

impl Held {
    fn drop_oldest(&mut self) {
        let oldest = self.frames.pop_front();
        self.bytes -= oldest.map_or(0, |frame| frame.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::{LineId, Place};

    use super::*;

    fn holding(sequences: std::ops::Range<u64>, bytes: usize) -> Fresh {
        let fresh = Fresh::default();
        for sequence in sequences {
            let first = Place { line: LineId::from_bytes([1; 16]), number: sequence + 1 };
            fresh.add(StoredFrame { sequence, first, bytes: Bytes::from(vec![0; bytes]) });
        }
        fresh
    }

    fn sequences(fresh: &Fresh, from: u64, bytes_max: usize) -> Vec<u64> {
        fresh.from(from, bytes_max).iter().map(|frame| frame.sequence).collect()
    }

    #[test]
    fn it_gives_what_follows_within_the_bytes_and_at_least_one() {
        let fresh = holding(4..8, 100);
        assert_eq!(sequences(&fresh, 5, 1_000), [5, 6, 7]);
        assert_eq!(sequences(&fresh, 5, 200), [5, 6]);
        assert_eq!(sequences(&fresh, 5, 1), [5]);
        assert!(
            sequences(&fresh, 3, 1_000).is_empty(),
            "what comes before it must not be passed over"
        );
        assert!(sequences(&fresh, 8, 1_000).is_empty());
    }

    #[test]
    fn it_holds_nothing_that_the_broker_has_and_never_more_than_its_bytes() {
        let fresh = holding(0..10, BYTES_MAX / 4);
        assert!(sequences(&fresh, 5, 1).is_empty());
        assert_eq!(sequences(&fresh, 6, usize::MAX), [6, 7, 8, 9]);
        fresh.forwarded(8);
        assert!(sequences(&fresh, 7, 1).is_empty());
        assert_eq!(sequences(&fresh, 8, usize::MAX), [8, 9]);
        fresh.forwarded(10);
        assert_eq!(fresh.0.lock().bytes, 0);
    }
}
