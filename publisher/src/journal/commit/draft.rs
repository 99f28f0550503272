//! A commit in the making: what gets numbers, what does not, and the frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use redb::{Error, WriteTransaction};
use schemas::{BoardMessage, Incarnation, LineId, LogMessage, Number, Place, wire};

use super::super::pack::Weighed;
use super::super::retention::{States, expire, make_room};
use super::super::stream::{Reach, Stream};
use super::super::tables::Tables;
use super::super::{Idempotency, Identity, Limits, Refusal};
use super::{Committed, Desk, Lines, Sealed, Wish};
use crate::outlet::Outlet;

/// So many frames and keys leave with each commit, if they are due.
const EXPIRED_PER_COMMIT: usize = 64;

/// What became of a wish, before its frame is known.
pub(super) type Judged = Result<Identity, Refusal>;

/// A commit in the making.
pub(super) struct Draft<'t> {
    tables: Tables<'t>,
    states: States,
    room: u64,
    /// Whether what waits for the broker waits for too long already.
    overdue: bool,
    partitions: u32,
    lines: Lines,
    numbered: BTreeMap<Stream, Numbered>,
    /// What idempotency keys became.
    keys: Vec<(Idempotency, Identity)>,
}

/// The wishes of one stream that got numbers.
#[derive(Debug)]
struct Numbered {
    line: LineId,
    first: Number,
    wishes: Vec<Weighed>,
}

impl<'t> Draft<'t> {
    pub(super) fn begin(
        transaction: &'t WriteTransaction,
        desk: &Desk,
        lines: &Lines,
        group: &[Wish],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut tables = Tables::open(transaction)?;
        let mut states = States::read(&tables, &desk.streams)?;
        let wanted = group.iter().map(|wish| wish.weighed.bytes as u64).sum();
        let room = make_room(&mut tables, &mut states, desk.limits, wanted)?;
        let waiting_since = states.waiting_since(&tables)?;
        let overdue = waiting_since.is_some_and(|since| desk.limits.overdue(since, now));
        Ok(Self {
            tables,
            states,
            room,
            overdue,
            partitions: desk.partitions,
            lines: Arc::clone(lines),
            numbered: BTreeMap::new(),
            keys: Vec::new(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbered.is_empty()
    }

    /// Numbers a wish, unless its key is known or it cannot be taken.
    pub(super) fn judge(&mut self, wish: Wish) -> Result<Judged, Error> {
        let Wish { weighed, idempotency } = wish;
        if let Some(asked) = &idempotency
            && let Some(known) = self.tables.key(&asked.key)?
        {
            let same = known.request == asked.request;
            return Ok(if same { Ok(known.identity) } else { Err(Refusal::Conflict) });
        }
        if self.overdue {
            return Ok(Err(Refusal::Overdue));
        }
        let Some(room) = self.room.checked_sub(weighed.bytes as u64) else {
            return Ok(Err(Refusal::Full));
        };
        self.room = room;
        let place = self.next_place(&weighed)?;
        let identity = Identity {
            id: weighed.invalidation.id,
            place,
            accepted_at: weighed.invalidation.accepted_at,
        };
        if let Some(asked) = &idempotency {
            self.tables.keep_key(asked, identity)?;
            self.keys.push((*asked, identity));
        }
        let numbered = self.numbered.entry(self.stream(&weighed));
        let new = || Numbered { line: place.line, first: place.number, wishes: Vec::new() };
        numbered.or_insert_with(new).wishes.push(weighed);
        Ok(Ok(identity))
    }

    fn stream(&self, weighed: &Weighed) -> Stream {
        let invalidation = &weighed.invalidation;
        Stream::of_site(invalidation.priority, &invalidation.site, self.partitions)
    }

    fn next_place(&self, weighed: &Weighed) -> Result<Place, Error> {
        let stream = self.stream(weighed);
        if let Some(Numbered { line, first, wishes }) = self.numbered.get(&stream) {
            return Ok(Place { line: *line, number: first + wishes.len() as Number });
        }
        let line = self.lines[&stream];
        Ok(Place { line, number: self.tables.last(line)? + 1 })
    }

    /// Begins new lines, closes all others, and answers what to announce.
    pub(super) fn begin_incarnation(
        &mut self,
        desk: &Desk,
        now: Timestamp,
    ) -> Result<Bytes, Error> {
        let closes = self.tables.close_lines(now, desk.limits.remembered_since(now))?;
        for (stream, line) in self.lines.iter() {
            self.tables.begin_line(*line, *stream)?;
        }
        let message = wire::encode_board(&BoardMessage::Incarnation(Incarnation {
            publisher: desk.publisher.clone(),
            since: now,
            lines: self.lines.values().copied().collect(),
            closes,
        }));
        self.tables.announce(&message)?;
        Ok(message)
    }

    /// Packs what was numbered into frames, of which nothing is stored yet.
    pub(super) fn seal_frames(&mut self, desk: &Desk, now: Timestamp) -> Vec<Sealed> {
        let mut sealed = Vec::new();
        for (stream, numbered) in std::mem::take(&mut self.numbered) {
            let Numbered { line, first, wishes } = numbered;
            let state = self.states.of(stream);
            let caught_up = state.forwarded == state.end;
            for frame in desk.scales.pack(line, first, now, wishes) {
                let message = LogMessage::Frame(frame);
                let bytes = wire::encode_log(&message);
                let LogMessage::Frame(frame) = message else { continue };
                let sequence = state.append(bytes.len());
                sealed.push(Sealed { stream, sequence, frame, bytes });
            }
            if caught_up && matches!(desk.outlet, Outlet::Shared(_)) {
                state.forwarded = state.end;
            }
        }
        sealed
    }

    /// Finds the frames of what was judged, most of them among those of this commit.
    pub(super) fn locate(
        &self,
        judged: Vec<Judged>,
        frames: &[Sealed],
    ) -> Result<Vec<Result<Committed, Refusal>>, Error> {
        let locate = |identity: Identity| {
            if let Some(new) = frames.iter().find(|sealed| sealed.carries(identity.place)) {
                return Ok(Committed { identity, frame: Some((new.stream, new.sequence)) });
            }
            let stream = self.tables.stream_of(identity.place.line)?;
            let sequence = self.tables.sequence_of(identity.place)?;
            Ok(Committed { identity, frame: stream.zip(sequence) })
        };
        judged
            .into_iter()
            .map(|judged| match judged {
                Ok(known) => locate(known).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            })
            .collect()
    }

    /// How far every stream has come.
    pub(super) fn reaches(&self) -> BTreeMap<Stream, Reach> {
        self.states.all().map(|(stream, state)| (stream, Reach::from(state))).collect()
    }

    /// What idempotency keys became.
    pub(super) fn keys(&self) -> &[(Idempotency, Identity)] {
        &self.keys
    }

    /// Stores the frames, and how far every stream has come.
    pub(super) fn store(
        mut self,
        frames: &[Sealed],
        limits: Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Self { tables, states, .. } = &mut self;
        for Sealed { stream, sequence, frame, bytes } in frames {
            tables.keep_frame(*stream, *sequence, frame, bytes)?;
        }
        expire(tables, states, limits, now, EXPIRED_PER_COMMIT)?;
        states.store(tables)
    }
}
