//! A commit in the making: what gets numbers, what does not, and the frames.

use bytes::Bytes;
use jiff::Timestamp;
use redb::{Error, WriteTransaction};
use schemas::{BoardMessage, Frame, Incarnation, LogMessage, Number, Place, Priority, wire};

use super::super::pack::Weighed;
use super::super::retention::{States, expire, make_room};
use super::super::stream::Reach;
use super::super::tables::Tables;
use super::super::{Identity, Limits, Refusal};
use super::{Committed, Desk, Lines, Wish};
use crate::outlet::Outlet;

/// So many frames and keys leave with each commit, if they are due.
const EXPIRED_PER_COMMIT: usize = 64;

/// What became of a wish, before its frame is known.
pub(super) type Judged = Result<(Priority, Identity), Refusal>;

/// A commit in the making.
pub(super) struct Draft<'t> {
    tables: Tables<'t>,
    states: States,
    room: u64,
    critical: Numbered,
    normal: Numbered,
}

impl<'t> Draft<'t> {
    pub(super) fn begin(
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

    pub(super) fn is_empty(&self) -> bool {
        self.critical.wishes.is_empty() && self.normal.wishes.is_empty()
    }

    /// Numbers a wish, unless its key is known or there is no room.
    pub(super) fn judge(&mut self, wish: Wish, lines: Lines) -> Result<Judged, Error> {
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
    pub(super) fn begin_incarnation(
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

    pub(super) fn store_frames(
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
    pub(super) fn locate(
        &self,
        judged: Vec<Judged>,
    ) -> Result<Vec<Result<Committed, Refusal>>, Error> {
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
    pub(super) fn finish(
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

/// The wishes of one priority that got numbers.
#[derive(Debug, Default)]
struct Numbered {
    first: Number,
    wishes: Vec<Weighed>,
}
