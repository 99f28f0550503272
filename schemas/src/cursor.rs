//! What a lane remembers of its cache between lives.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Host, LineId, Number, NumberRange, Outcome, Region, SiteName};

/// A lane's memory: it lives and dies with the cache that it describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which life of the cursor this is; one more after every fall back to an older copy.
    pub life: u64,
    /// The region the lane spoke for.
    pub region: Region,
    /// The sites it purged; what is added later is flushed.
    pub sites: BTreeSet<SiteName>,
    /// The hosts of each site, where they are known; what is added later is flushed.
    pub hosts: BTreeMap<SiteName, BTreeSet<Host>>,
    /// What the cache consists of: key templates, `name=template`, or instances, `instance=host:port`; what is added later
    /// is flushed.
    pub parts: BTreeSet<String>,
    /// Every line it knows.
    pub lines: Vec<LineCursor>,
    /// Where to resume reading, per partition: only a hint.
    pub hints: Vec<ResumeHint>,
    /// A flush that was carried out and lacks its last pass.
    pub flushed: Option<Flushed>,
    /// Lines on which nothing comes any more; ascending by line.
    pub closed: Vec<ClosedLine>,
    /// Orders that were carried out, and when they expire; ascending.
    pub obeyed: Vec<(Uuid, Timestamp)>,
    /// Whether the cache that it comes after was flushed, and this one not yet since.
    pub behind: bool,
}

/// What a flush made up for: applied, and final after its last pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// What was flushed.
    pub sites: BTreeSet<SiteName>,
    /// Whether it makes up for all that lies up to the bases too.
    pub bases: bool,
    /// The numbers that it makes up for, besides.
    pub numbers: Vec<(LineId, NumberRange)>,
}

/// A line whose publisher has gone on to others, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedLine {
    /// The line.
    pub line: LineId,
    /// Its last number.
    pub last: Number,
    /// Since when, on the clock of who said so.
    pub since: Timestamp,
}

/// One line in a cursor. Everything at or below `floor`, or in `settled`, is finally settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineCursor {
    /// The line.
    pub line: LineId,
    /// Where the lane began on it.
    pub base: Number,
    /// All numbers up to here are finally settled.
    pub floor: Number,
    /// What is finally settled above the floor.
    pub settled: Vec<NumberRange>,
    /// Numbers that ended as dead letters; the reason stands in the letters, and here only where an older release wrote.
    pub refused: Vec<(Number, String)>,
    /// How finally settled numbers ended otherwise than by a purge of their own or as dead letters; none where an older
    /// release wrote.
    pub exceptions: Vec<(NumberRange, Outcome)>,
}

/// Where a partition was read up to: the lowest position not finally settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeHint {
    /// The partition.
    pub partition: u32,
    /// The broker's position there.
    pub position: u64,
    /// The broker's time of that position.
    pub time: Timestamp,
}
