//! All tables within one write transaction, and every change to them.

use bytes::Bytes;
use jiff::Timestamp;
use redb::{Error, ReadableTable, Table, WriteTransaction};
use schemas::{Frame, LineId, LogMessage, Number, Place, wire};
use uuid::Uuid;

use super::stream::Stream;
use super::table::{
    ANNOUNCED, FRAMES, FrameKey, FrameRow, IDS, KEY_TIMES, KEYS, KeyRow, LINES, LineRow, NUMBERS,
    OPEN, REPLAYS, STREAMS, StreamKey, StreamState, line_key, line_of, place, time,
};
use super::{Idempotency, Identity};

/// Every table, open for writing.
pub(super) struct Tables<'t> {
    lines: Table<'t, u128, LineRow>,
    streams: Table<'t, StreamKey, (u64, u64, u64)>,
    frames: Table<'t, FrameKey, FrameRow>,
    numbers: Table<'t, (u128, u64), u64>,
    ids: Table<'t, u128, (u128, u64)>,
    replays: Table<'t, (u128, u128), ()>,
    keys: Table<'t, [u8; 32], KeyRow>,
    key_times: Table<'t, (i64, [u8; 32]), ()>,
    announced: Table<'t, (), &'static [u8]>,
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// Of the request that it came with.
    pub(super) request: [u8; 32],
    /// What that became.
    pub(super) identity: Identity,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            lines: transaction.open_table(LINES)?,
            streams: transaction.open_table(STREAMS)?,
            frames: transaction.open_table(FRAMES)?,
            numbers: transaction.open_table(NUMBERS)?,
            ids: transaction.open_table(IDS)?,
            replays: transaction.open_table(REPLAYS)?,
            keys: transaction.open_table(KEYS)?,
            key_times: transaction.open_table(KEY_TIMES)?,
            announced: transaction.open_table(ANNOUNCED)?,
        })
    }

    /// The last number of a line.
    pub(super) fn last(&self, line: LineId) -> Result<Number, Error> {
        Ok(self.lines.get(line_key(line))?.map_or(0, |row| row.value().2))
    }

    /// Begins a line on a stream.
    pub(super) fn begin_line(&mut self, line: LineId, stream: Stream) -> Result<(), Error> {
        let (topic, partition) = stream.key();
        self.lines.insert(line_key(line), (topic, partition, 0, OPEN))?;
        Ok(())
    }

    /// Closes every line that is open, forgets what was never used, or was closed before `forget_before` and has
    /// no frame any more, and answers the rest with their last numbers.
    pub(super) fn close_lines(
        &mut self,
        now: Timestamp,
        forget_before: Timestamp,
    ) -> Result<Vec<(LineId, Number)>, Error> {
        let (now, forget_before) = (now.as_microsecond(), forget_before.as_microsecond());
        let (mut closed, mut open, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.lines.iter()? {
            let (line, row) = row?;
            let (line, (topic, partition, last, closed_at)) = (line.value(), row.value());
            let numbered = self.numbers.range((line, 0)..=(line, Number::MAX))?.next().is_some();
            if last == 0 || closed_at < forget_before && !numbered {
                forgotten.push(line);
                continue;
            }
            closed.push((line_of(line), last));
            if closed_at == OPEN {
                let stream = Stream::from_key((topic, partition));
                open.extend(stream.map(|stream| (line, stream.key(), last)));
            }
        }
        for line in forgotten {
            self.lines.remove(line)?;
        }
        for (line, (topic, partition), last) in open {
            self.lines.insert(line, (topic, partition, last, now))?;
        }
        Ok(closed)
    }

    /// Keeps what stands on the board for this publisher.
    pub(super) fn announce(&mut self, message: &[u8]) -> Result<(), Error> {
        self.announced.insert((), message)?;
        Ok(())
    }

    /// What is known of a key.
    pub(super) fn key(&self, key: &[u8; 32]) -> Result<Option<KnownKey>, Error> {
        let Some(row) = self.keys.get(*key)? else { return Ok(None) };
        let (request, id, line, number, accepted_at) = row.value();
        let identity = Identity {
            id: Uuid::from_u128(id),
            place: place(line, number),
            accepted_at: time(accepted_at)?,
        };
        Ok(Some(KnownKey { request, identity }))
    }

    /// Keeps what an idempotency key became.
    pub(super) fn keep_key(
        &mut self,
        idempotency: &Idempotency,
        Identity { id, place, accepted_at }: Identity,
    ) -> Result<(), Error> {
        let Idempotency { key, request } = *idempotency;
        let (line, at) = (line_key(place.line), accepted_at.as_microsecond());
        self.keys.insert(key, (request, id.as_u128(), line, place.number, at))?;
        self.key_times.insert((at, key), ())?;
        Ok(())
    }

    /// Forgets up to `max` keys of requests accepted before `before`.
    pub(super) fn expire_keys(&mut self, before: Timestamp, max: usize) -> Result<usize, Error> {
        let end = (before.as_microsecond(), [0; 32]);
        let due = self.key_times.range(..end)?.take(max);
        let due = due.map(|row| Ok(row?.0.value())).collect::<Result<Vec<_>, Error>>()?;
        for (at, key) in &due {
            self.keys.remove(*key)?;
            self.key_times.remove((*at, *key))?;
        }
        Ok(due.len())
    }

    /// How far a stream had come when that was last stored.
    pub(super) fn state(&self, stream: Stream) -> Result<StreamState, Error> {
        let row = self.streams.get(stream.key())?;
        Ok(row.map_or_else(StreamState::default, |row| row.value().into()))
    }

    pub(super) fn set_state(&mut self, stream: Stream, state: StreamState) -> Result<(), Error> {
        self.streams.insert(stream.key(), state.row())?;
        Ok(())
    }

    /// Keeps the frame of a sequence with everything by which it is found.
    pub(super) fn keep_frame(
        &mut self,
        stream: Stream,
        sequence: u64,
        frame: &Frame,
        bytes: &Bytes,
    ) -> Result<(), Error> {
        let (line, numbers) = (line_key(frame.line), frame.numbers());
        let (topic, partition) = stream.key();
        let at = frame.committed_at.as_microsecond();
        let row = (line, numbers.first, numbers.last, at, bytes.as_ref());
        self.frames.insert((topic, partition, sequence), row)?;
        self.numbers.insert((line, numbers.first), sequence)?;
        for (number, invalidation) in (numbers.first..).zip(&frame.invalidations) {
            let id = invalidation.id.as_u128();
            self.ids.insert(id, (line, number))?;
            if let Some(origin) = invalidation.origin {
                self.replays.insert((origin.as_u128(), id), ())?;
            }
        }
        self.lines.insert(line, (topic, partition, numbers.last, OPEN))?;
        Ok(())
    }

    /// The stream of a line, if it is remembered.
    pub(super) fn stream_of(&self, line: LineId) -> Result<Option<Stream>, Error> {
        let row = self.lines.get(line_key(line))?;
        Ok(row.and_then(|row| Stream::from_key((row.value().0, row.value().1))))
    }

    /// When a frame was committed, if it is kept.
    pub(super) fn committed_at(
        &self,
        stream: Stream,
        sequence: u64,
    ) -> Result<Option<Timestamp>, Error> {
        let (topic, partition) = stream.key();
        let row = self.frames.get((topic, partition, sequence))?;
        row.map(|row| time(row.value().3)).transpose()
    }

    /// The sequence of the frame that carries a number, if it is kept.
    pub(super) fn sequence_of(&self, place: Place) -> Result<Option<u64>, Error> {
        let line = line_key(place.line);
        let row = self.numbers.range((line, 0)..=(line, place.number))?.next_back();
        Ok(row.transpose()?.map(|(_, sequence)| sequence.value()))
    }

    /// The oldest frame kept of a stream, if the broker has it: its sequence and when it was committed.
    pub(super) fn oldest_forwarded(
        &self,
        stream: Stream,
        state: StreamState,
    ) -> Result<Option<(u64, i64)>, Error> {
        let (topic, partition) = stream.key();
        let range = (topic, partition, 0)..(topic, partition, state.forwarded);
        let Some(row) = self.frames.range(range)?.next() else { return Ok(None) };
        let (key, row) = row?;
        Ok(Some((key.value().2, row.value().3)))
    }

    /// Forgets a frame and everything by which it was found.
    pub(super) fn remove(
        &mut self,
        stream: Stream,
        state: &mut StreamState,
        sequence: u64,
    ) -> Result<(), Error> {
        let (topic, partition) = stream.key();
        let Some(row) = self.frames.remove((topic, partition, sequence))? else { return Ok(()) };
        let (line, first, _, _, bytes) = row.value();
        self.numbers.remove((line, first))?;
        if let Ok(LogMessage::Frame(frame)) = wire::decode_log(bytes) {
            for invalidation in &frame.invalidations {
                let id = invalidation.id.as_u128();
                self.ids.remove(id)?;
                if let Some(origin) = invalidation.origin {
                    self.replays.remove((origin.as_u128(), id))?;
                }
            }
        }
        state.bytes = state.bytes.saturating_sub(bytes.len() as u64);
        Ok(())
    }
}
