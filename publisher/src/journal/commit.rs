//! One commit: a group of wishes becomes numbers and frames, all of them or none.

mod draft;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker_adapter::{Message, Partition, Topic};
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use redb::{Database, Error, WriteTransaction};
use schemas::{Frame, Invalidation, LineId, PUBLISHERS_BOARD, Place, PublisherName};

use draft::Draft;

use super::ahead::{Ahead, Entry, Kept};
use super::disk::Disk;
use super::lookup::StoredFrame;
use super::pack::{Scales, Weighed};
use super::retention::{States, expire};
use super::stream::{Reach, Stream, Streams};
use super::tables::Tables;
use super::{Idempotency, Identity, JournalError, Limits, Refusal, fresh, table};
use crate::outlet::{Outlet, frame_message};

/// An invalidation that asks for its number.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) weighed: Weighed,
    pub(super) idempotency: Option<Idempotency>,
}

/// Where a wish went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed {
    pub(super) identity: Identity,
    /// Of its frame; `None` if that has left the journal, and is on the log for long.
    pub(super) frame: Option<(Stream, u64)>,
}

/// A frame of this commit: where it lies, what it says, and its bytes.
#[derive(Debug)]
struct Sealed {
    stream: Stream,
    sequence: u64,
    frame: Frame,
    bytes: Bytes,
}

impl Sealed {
    fn carries(&self, place: Place) -> bool {
        let numbers = self.frame.numbers();
        self.frame.line == place.line && (numbers.first..=numbers.last).contains(&place.number)
    }
}

/// What became of a group.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// In the order of the wishes.
    pub(super) verdicts: Vec<Result<Committed, Refusal>>,
    /// What was numbered, in the order of numbers per line.
    pub(super) numbered: Vec<(Place, Invalidation)>,
}

/// Turns groups into commits; the only one that writes.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) database: Arc<Database>,
    pub(super) publisher: PublisherName,
    pub(super) scales: Scales,
    pub(super) outlet: Outlet,
    pub(super) limits: Limits,
    pub(super) disk: Arc<Disk>,
    pub(super) ahead: Option<Arc<Mutex<Ahead>>>,
    pub(super) streams: Arc<Streams>,
    /// Of every topic.
    pub(super) partitions: u32,
    /// The lines of this incarnation, once it has begun.
    pub(super) lines: Option<Lines>,
}

/// A line for each stream of today's partitions.
pub(super) type Lines = Arc<BTreeMap<Stream, LineId>>;

impl Desk {
    /// Numbers and stores what can be taken of a group. Blocks on the disk.
    pub(super) fn commit(
        &mut self,
        group: Vec<Wish>,
        now: Timestamp,
    ) -> Result<Outcome, JournalError> {
        if !self.disk.has_room() {
            let full = group.iter().map(|_| Err(Refusal::DiskFull)).collect();
            return Ok(Outcome { verdicts: full, numbered: Vec::new() });
        }
        let transaction = table::write(&self.database)?;
        let lines = self.lines.clone().unwrap_or_else(|| {
            Arc::new(Stream::all(self.partitions).map(|s| (s, LineId::random())).collect())
        });
        let mut draft = Draft::begin(&transaction, self, &lines, &group, now)?;
        let judged = group.into_iter().map(|wish| draft.judge(wish));
        let judged = judged.collect::<Result<Vec<_>, Error>>()?;
        if draft.is_empty() {
            let verdicts = draft.locate(judged, &[])?;
            return Ok(Outcome { verdicts, numbered: Vec::new() });
        }
        let announcement = match self.lines {
            Some(_) => None,
            None => Some(draft.begin_incarnation(self, now)?),
        };
        let frames = draft.seal_frames(self, now);
        let verdicts = draft.locate(judged, &frames)?;
        let reaches = draft.reaches();
        // What begins an incarnation is in no record.
        let entry = announcement.is_none().then(|| self.entry(&frames, &reaches, &draft, now));
        let is_durable = self.write_ahead(entry.as_ref())?;
        let leaves_early = is_durable && self.can_leave_before_it_is_stored(&frames);
        if leaves_early {
            self.show(&reaches, &frames, false);
        }
        draft.store(&frames, self.limits, now)?;
        self.append_to_log(&transaction, announcement.as_ref(), &frames, now)?;
        self.store(transaction, is_durable)?;
        self.lines = Some(lines);
        if !leaves_early {
            self.show(&reaches, &frames, announcement.is_some());
        }
        Ok(Outcome { verdicts, numbered: places(frames) })
    }

    /// Lets go of what is too old and stores how far the streams are forwarded; answers whether more is due.
    pub(super) fn tidy(&mut self, now: Timestamp, max: usize) -> Result<bool, JournalError> {
        let transaction = table::write(&self.database)?;
        let mut tables = Tables::open(&transaction)?;
        let mut states = States::read(&tables, &self.streams)?;
        let gone = expire(&mut tables, &mut states, self.limits, now, max)?;
        states.store(&mut tables)?;
        drop(tables);
        self.store(transaction, false)?;
        Ok(gone >= max)
    }

    /// Makes the store keep for good what only the file before it keeps.
    pub(super) fn settle(&mut self) -> Result<(), JournalError> {
        let is_needed = |ahead: &Arc<Mutex<Ahead>>| ahead.lock().is_needed();
        if self.ahead.as_ref().is_some_and(is_needed) {
            self.store(table::write(&self.database)?, false)?;
        }
        Ok(())
    }

    /// Makes a commit durable by a record, if that can be done; answers whether it is.
    fn write_ahead(&self, entry: Option<&Entry>) -> Result<bool, Error> {
        match (&self.ahead, entry) {
            (Some(ahead), Some(entry)) => ahead.lock().write(entry),
            _ => Ok(false),
        }
    }

    /// Commits in the store: durably, unless it is durable already.
    fn store(&self, transaction: WriteTransaction, is_durable: bool) -> Result<(), Error> {
        match &self.ahead {
            Some(ahead) => ahead.lock().commit(transaction, is_durable),
            None => Ok(transaction.commit()?),
        }
    }

    /// Who forwards frames finds them in memory, and need not wait for the store: as long as all of them are held.
    fn can_leave_before_it_is_stored(&self, frames: &[Sealed]) -> bool {
        let bytes: usize = frames.iter().map(|sealed| sealed.bytes.len()).sum();
        matches!(self.outlet, Outlet::Remote(_)) && bytes <= fresh::BYTES_MAX
    }

    /// What this commit is, for whoever takes it again.
    fn entry(
        &self,
        frames: &[Sealed],
        reaches: &BTreeMap<Stream, Reach>,
        draft: &Draft<'_>,
        now: Timestamp,
    ) -> Entry {
        let kept = |sealed: &Sealed| Kept {
            stream: sealed.stream,
            sequence: sealed.sequence,
            forwarded: reaches.get(&sealed.stream).map_or(0, |reach| reach.forwarded),
            bytes: sealed.bytes.clone(),
        };
        Entry {
            at: now,
            shared: matches!(self.outlet, Outlet::Shared(_)),
            frames: frames.iter().map(kept).collect(),
            keys: draft.keys().to_vec(),
        }
    }

    /// Where the log shares the database, it takes the frames in the same transaction.
    fn append_to_log(
        &self,
        transaction: &WriteTransaction,
        announcement: Option<&Bytes>,
        frames: &[Sealed],
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Outlet::Shared(log) = &self.outlet else { return Ok(()) };
        if let Some(body) = announcement {
            let key = Some(self.publisher.to_string());
            let message = Message { key, id: None, body: body.clone() };
            let board = Topic::board(PUBLISHERS_BOARD);
            log.append(transaction, board, Partition::default(), &[message], now)?;
        }
        for stream in streams(frames) {
            let of_stream = frames.iter().filter(|sealed| sealed.stream == stream);
            let messages: Vec<Message> = of_stream
                .map(|Sealed { frame, bytes, .. }| {
                    let first = Place { line: frame.line, number: frame.first };
                    frame_message(first, 0, bytes.clone())
                })
                .collect();
            log.append(transaction, stream.topic(), stream.partition, &messages, now)?;
        }
        Ok(())
    }

    /// Tells everyone of a commit.
    fn show(&self, reaches: &BTreeMap<Stream, Reach>, frames: &[Sealed], announced: bool) {
        if let Outlet::Remote(_) = &self.outlet {
            for Sealed { stream, sequence, frame, bytes } in frames {
                let first = Place { line: frame.line, number: frame.first };
                let frame = StoredFrame { sequence: *sequence, first, bytes: bytes.clone() };
                self.streams.hold(*stream, frame);
            }
        }
        for (stream, reach) in reaches {
            self.streams.advance(*stream, *reach);
        }
        let Outlet::Shared(log) = &self.outlet else { return };
        if announced {
            log.committed(Topic::board(PUBLISHERS_BOARD));
        }
        for stream in streams(frames) {
            log.committed(stream.topic());
        }
    }
}

/// The streams of some frames, each once.
fn streams(frames: &[Sealed]) -> BTreeSet<Stream> {
    frames.iter().map(|sealed| sealed.stream).collect()
}

fn places(frames: Vec<Sealed>) -> Vec<(Place, Invalidation)> {
    frames
        .into_iter()
        .flat_map(|Sealed { frame, .. }| {
            let line = frame.line;
            (frame.first..).map(move |number| Place { line, number }).zip(frame.invalidations)
        })
        .collect()
}
