//! One commit: a group of wishes becomes numbers and frames, all of them or none.

use std::sync::Arc;

use broker_adapter::{Message, Partition, Topic};
use bytes::Bytes;
use jiff::Timestamp;
use redb::{Database, Error, WriteTransaction};
use schemas::{
    BoardMessage, Frame, Incarnation, Invalidation, LineId, LogMessage, Number, PUBLISHERS_BOARD,
    Place, Priority, PublisherName, wire,
};

use super::disk::Disk;
use super::pack::{Scales, Weighed};
use super::retention::{States, expire, make_room};
use super::stream::{Reach, Streams};
use super::tables::Tables;
use super::{Idempotency, Identity, JournalError, Limits, Refusal, table};
use crate::outlet::{Outlet, frame_message};

/// So many frames and keys leave with each commit, if they are due.
const EXPIRED_PER_COMMIT: usize = 64;

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
    pub(super) priority: Priority,
    /// Of its frame; `None` if that has left the journal, and is on the log for long.
    pub(super) sequence: Option<u64>,
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
    pub(super) disk: Disk,
    pub(super) streams: Arc<Streams>,
    /// The lines of this incarnation, once it has begun.
    pub(super) lines: Option<Lines>,
}

/// A line for each priority.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    critical: LineId,
    normal: LineId,
}

impl Lines {
    fn random() -> Self {
        Self { critical: LineId::random(), normal: LineId::random() }
    }

    fn of(self, priority: Priority) -> LineId {
        match priority {
            Priority::Critical => self.critical,
            Priority::Normal => self.normal,
        }
    }
}

/// The wishes of one priority that got numbers.
#[derive(Debug, Default)]
struct Numbered {
    first: Number,
    wishes: Vec<Weighed>,
}

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
        let lines = self.lines.unwrap_or_else(Lines::random);
        let mut draft = Draft::begin(&transaction, self, lines, &group)?;
        let judged = group.into_iter().map(|wish| draft.judge(wish, lines));
        let judged = judged.collect::<Result<Vec<_>, Error>>()?;
        if draft.is_empty() {
            let verdicts = draft.locate(judged)?;
            return Ok(Outcome { verdicts, numbered: Vec::new() });
        }
        let announcement = match self.lines {
            Some(_) => None,
            None => Some(draft.begin_incarnation(self, lines, now)?),
        };
        let frames = draft.store_frames(self, lines, now)?;
        let verdicts = draft.locate(judged)?;
        let reaches = draft.finish(self.limits, now)?;
        self.append_to_log(&transaction, announcement.as_ref(), &frames, now)?;
        transaction.commit().map_err(Error::from)?;
        self.lines = Some(lines);
        self.show(reaches, &frames, announcement.is_some());
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
        transaction.commit().map_err(Error::from)?;
        Ok(gone >= max)
    }

    /// Where the log shares the database, it takes the frames in the same transaction.
    fn append_to_log(
        &self,
        transaction: &WriteTransaction,
        announcement: Option<&Bytes>,
        frames: &[(Priority, Frame, Bytes)],
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Outlet::Shared(log) = &self.outlet else { return Ok(()) };
        if let Some(body) = announcement {
            let key = Some(self.publisher.to_string());
            let message = Message { key, id: None, body: body.clone() };
            let board = Topic::board(PUBLISHERS_BOARD);
            log.append(transaction, board, Partition(table::PARTITION), &[message], now)?;
        }
        for priority in Priority::ALL {
            let of_priority = frames.iter().filter(|(of, _, _)| *of == priority);
            let messages: Vec<Message> = of_priority
                .map(|(_, frame, bytes)| {
                    let first = Place { line: frame.line, number: frame.first };
                    frame_message(first, 0, bytes.clone())
                })
                .collect();
            let topic = Topic::log(priority.as_str());
            log.append(transaction, topic, Partition(table::PARTITION), &messages, now)?;
        }
        Ok(())
    }

    /// Tells everyone of a commit.
    fn show(
        &self,
        reaches: [(Priority, Reach); Priority::ALL.len()],
        frames: &[(Priority, Frame, Bytes)],
        announced: bool,
    ) {
        for (priority, reach) in reaches {
            self.streams.advance(priority, reach);
        }
        let Outlet::Shared(log) = &self.outlet else { return };
        if announced {
            log.committed(Topic::board(PUBLISHERS_BOARD));
        }
        for priority in Priority::ALL {
            if frames.iter().any(|(of, _, _)| *of == priority) {
                log.committed(Topic::log(priority.as_str()));
            }
        }
    }
}

/// A commit in the making.
struct Draft<'t> {
    tables: Tables<'t>,
    states: States,
    room: u64,
    critical: Numbered,
    normal: Numbered,
}

impl<'t> Draft<'t> {
    fn begin(
        transaction: &'t WriteTransaction,
        desk: &Desk,
        lines: Lines,
        group: &[Wish],
    ) -> Result<Self, Error> {
        let mut tables = Tables::open(transaction)?;
        let mut states = States::read(&tables, &desk.streams)?;
        let wanted = group.iter().map(|wish| wish.weighed.bytes as u64).sum();
        let room = make_room(&mut tables, &mut states, desk.limits, wanted)?;
        let first = |priority| -> Result<Numbered, Error> {
            let last = tables.last(lines.of(priority))?;
            Ok(Numbered { first: last + 1, wishes: Vec::new() })
        };
        let (critical, normal) = (first(Priority::Critical)?, first(Priority::Normal)?);
        Ok(Self { tables, states, room, critical, normal })
    }

    fn is_empty(&self) -> bool {
        self.critical.wishes.is_empty() && self.normal.wishes.is_empty()
    }

    /// Numbers a wish, unless its key is known or there is no room.
    fn judge(&mut self, wish: Wish, lines: Lines) -> Result<Judged, Error> {
        let Wish { weighed, idempotency } = wish;
        let priority = weighed.invalidation.priority;
        if let Some(asked) = &idempotency
            && let Some(known) = self.tables.key(&asked.key)?
        {
            let same = known.request == asked.request;
            return Ok(if same { Ok((priority, known.identity)) } else { Err(Refusal::Conflict) });
        }
        let Some(room) = self.room.checked_sub(weighed.bytes as u64) else {
            return Ok(Err(Refusal::Full));
        };
        self.room = room;
        let numbered = match priority {
            Priority::Critical => &mut self.critical,
            Priority::Normal => &mut self.normal,
        };
        let number = numbered.first + numbered.wishes.len() as Number;
        let identity = Identity {
            id: weighed.invalidation.id,
            place: Place { line: lines.of(priority), number },
            accepted_at: weighed.invalidation.accepted_at,
        };
        if let Some(asked) = &idempotency {
            self.tables.keep_key(asked, identity)?;
        }
        numbered.wishes.push(weighed);
        Ok(Ok((priority, identity)))
    }

    /// Begins new lines, closes all others, and answers what to announce.
    fn begin_incarnation(
        &mut self,
        desk: &Desk,
        lines: Lines,
        now: Timestamp,
    ) -> Result<Bytes, Error> {
        let closes = self.tables.close_lines(now, desk.limits.remembered_since(now))?;
        for priority in Priority::ALL {
            self.tables.begin_line(lines.of(priority), priority)?;
        }
        let message = wire::encode_board(&BoardMessage::Incarnation(Incarnation {
            publisher: desk.publisher.clone(),
            since: now,
            lines: Priority::ALL.map(|priority| lines.of(priority)).to_vec(),
            closes,
        }));
        self.tables.announce(&message)?;
        Ok(message)
    }

    fn store_frames(
        &mut self,
        desk: &Desk,
        lines: Lines,
        now: Timestamp,
    ) -> Result<Vec<(Priority, Frame, Bytes)>, Error> {
        let mut stored = Vec::new();
        for priority in Priority::ALL {
            let numbered = match priority {
                Priority::Critical => std::mem::take(&mut self.critical),
                Priority::Normal => std::mem::take(&mut self.normal),
            };
            let state = self.states.of(priority);
            let caught_up = state.forwarded == state.end;
            for frame in desk.scales.pack(lines.of(priority), numbered.first, now, numbered.wishes)
            {
                let message = LogMessage::Frame(frame);
                let bytes = wire::encode_log(&message);
                let LogMessage::Frame(frame) = message else { continue };
                self.tables.append(priority, state, &frame, &bytes)?;
                stored.push((priority, frame, bytes));
            }
            if caught_up && matches!(desk.outlet, Outlet::Shared(_)) {
                state.forwarded = state.end;
            }
        }
        Ok(stored)
    }

    /// Finds the frames of what was judged.
    fn locate(&self, judged: Vec<Judged>) -> Result<Vec<Result<Committed, Refusal>>, Error> {
        let locate = |(priority, identity): (Priority, Identity)| {
            let sequence = self.tables.sequence_of(identity.place)?;
            Ok(Committed { identity, priority, sequence })
        };
        judged
            .into_iter()
            .map(|judged| match judged {
                Ok(known) => locate(known).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            })
            .collect()
    }

    /// Stores how far every stream has come, and answers that.
    fn finish(
        mut self,
        limits: Limits,
        now: Timestamp,
    ) -> Result<[(Priority, Reach); Priority::ALL.len()], Error> {
        let Self { tables, states, .. } = &mut self;
        expire(tables, states, limits, now, EXPIRED_PER_COMMIT)?;
        states.store(tables)?;
        Ok(Priority::ALL.map(|priority| (priority, Reach::from(*states.of(priority)))))
    }
}

type Judged = Result<(Priority, Identity), Refusal>;

fn places(frames: Vec<(Priority, Frame, Bytes)>) -> Vec<(Place, Invalidation)> {
    frames
        .into_iter()
        .flat_map(|(_, frame, _)| {
            let line = frame.line;
            (frame.first..).map(move |number| Place { line, number }).zip(frame.invalidations)
        })
        .collect()
}
