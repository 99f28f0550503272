//! Packs invalidations into frames. Pure.

use jiff::Timestamp;
use schemas::{FRAME_BYTES_MAX, Frame, Invalidation, LineId, Number, PublisherName, wire};

/// The count of a frame's invalidations takes up to so many bytes more than that of an empty one.
const COUNT_BYTES: usize = 8;

/// Knows how many bytes things take in frames of one publisher.
#[derive(Debug, Clone)]
pub(super) struct Scales {
    publisher: PublisherName,
    empty: usize,
}

/// An invalidation that knows how many bytes a frame of it alone takes, at most.
#[derive(Debug, Clone)]
pub(super) struct Weighed {
    pub(super) invalidation: Invalidation,
    pub(super) bytes: usize,
}

impl Scales {
    pub(super) fn new(publisher: PublisherName) -> Self {
        let empty = wire::frame_bytes(&widest(publisher.clone(), Vec::new()));
        Self { publisher, empty }
    }

    pub(super) fn weigh(&self, invalidation: Invalidation) -> Weighed {
        let mut frame = widest(self.publisher.clone(), vec![invalidation]);
        let bytes = wire::frame_bytes(&frame);
        Weighed { invalidation: frame.invalidations.remove(0), bytes }
    }

    /// Frames of `invalidations` in their order, numbered from `first` on: as few as the limit allows.
    pub(super) fn pack(
        &self,
        line: LineId,
        first: Number,
        committed_at: Timestamp,
        invalidations: Vec<Weighed>,
    ) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        let mut bytes = 0;
        for (number, weighed) in (first..).zip(invalidations) {
            bytes += weighed.bytes.saturating_sub(self.empty);
            match frames.last_mut() {
                Some(frame) if bytes <= FRAME_BYTES_MAX => {
                    frame.invalidations.push(weighed.invalidation);
                }
                _ => {
                    bytes = weighed.bytes + COUNT_BYTES;
                    frames.push(Frame {
                        publisher: self.publisher.clone(),
                        line,
                        first: number,
                        committed_at,
                        invalidations: vec![weighed.invalidation],
                        signature: None,
                    });
                }
            }
        }
        frames
    }
}

/// A frame whose other fields take the most bytes they ever do.
fn widest(publisher: PublisherName, invalidations: Vec<Invalidation>) -> Frame {
    Frame {
        publisher,
        line: LineId::from_bytes([0xff; 16]),
        first: Number::MAX,
        committed_at: Timestamp::MAX,
        invalidations,
        signature: None,
    }
}
