//! What travels on the log: frames of invalidations, heartbeats with a line's last numbers, and confessions of loss.

use jiff::Timestamp;

use crate::{Invalidation, LineId, Number, NumberRange, PublisherName, SIGNATURE_BYTES};

/// A frame of several invalidations stays below this; one larger invalidation is a frame of its own.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// 1 to N invalidations of one line, committed together; numbers run on from `first`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Who speaks.
    pub publisher: PublisherName,
    /// On which line.
    pub line: LineId,
    /// The number of the first invalidation.
    pub first: Number,
    /// When it was committed, on the publisher's clock.
    pub committed_at: Timestamp,
    /// In the order of their numbers; never empty.
    pub invalidations: Vec<Invalidation>,
    /// Never written: the envelope carries the signature, so that it is checked before the body is read.
    pub signature: Option<[u8; SIGNATURE_BYTES]>,
}

impl Frame {
    /// The numbers it carries.
    pub fn numbers(&self) -> NumberRange {
        let count = self.invalidations.len() as Number;
        NumberRange { first: self.first, last: self.first + count.saturating_sub(1) }
    }
}

/// Each second: "I live, and these are the last numbers of all my lines on this topic partition".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who speaks.
    pub publisher: PublisherName,
    /// The publisher's clock.
    pub at: Timestamp,
    /// Every line of this publisher on this topic partition, with its last committed number.
    pub lines: Vec<(LineId, Number)>,
    /// How many agents report, as far as this publisher knows: together they share what the board can carry.
    pub agents: Option<u32>,
}

/// "Nobody can give you these numbers any more": who lacks them must flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Who speaks.
    pub publisher: PublisherName,
    /// Of which line.
    pub line: LineId,
    /// What is gone.
    pub numbers: NumberRange,
}

/// A new incarnation, announced on the board before its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// Who speaks.
    pub publisher: PublisherName,
    /// Since when, on its clock.
    pub since: Timestamp,
    /// The lines it numbers from now on.
    pub lines: Vec<LineId>,
    /// The lines it closes, with their last numbers.
    pub closes: Vec<(LineId, Number)>,
}
