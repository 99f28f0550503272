//! What leaves the journal: frames that the broker has, by age and for room; idempotency keys by age.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use redb::Error;

use super::Limits;
use super::stream::{Stream, Streams};
use super::table::StreamState;
use super::tables::Tables;

/// How long an idempotency key is remembered.
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The state of every stream within one transaction, beside what is stored of it.
#[derive(Debug)]
pub(super) struct States(BTreeMap<Stream, (StreamState, StreamState)>);

impl States {
    /// As stored, with what the broker has by now.
    pub(super) fn read(tables: &Tables<'_>, streams: &Streams) -> Result<Self, Error> {
        let forwarded = streams.forwarded().into_iter();
        let state = |(stream, forwarded): (Stream, u64)| {
            let stored = tables.state(stream)?;
            let now = StreamState { forwarded: stored.forwarded.max(forwarded), ..stored };
            Ok((stream, (stored, now)))
        };
        Ok(Self(forwarded.map(state).collect::<Result<_, Error>>()?))
    }

    /// Stores what has changed.
    pub(super) fn store(&self, tables: &mut Tables<'_>) -> Result<(), Error> {
        let changed = self.0.iter().filter(|(_, (stored, now))| stored != now);
        changed.into_iter().try_for_each(|(stream, (_, now))| tables.set_state(*stream, *now))
    }

    pub(super) fn of(&mut self, stream: Stream) -> &mut StreamState {
        &mut self.0.entry(stream).or_default().1
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Stream, StreamState)> {
        self.0.iter().map(|(stream, (_, now))| (*stream, *now))
    }

    /// When the oldest frame was committed that the broker does not have.
    pub(super) fn waiting_since(&self, tables: &Tables<'_>) -> Result<Option<Timestamp>, Error> {
        let waiting = self.all().filter(|(_, state)| state.forwarded < state.end);
        let since = waiting.map(|(stream, state)| tables.committed_at(stream, state.forwarded));
        Ok(since.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min())
    }

    fn bytes(&self) -> u64 {
        self.all().map(|(_, state)| state.bytes).sum()
    }

    /// The oldest frame of all streams that may leave.
    fn oldest(&self, tables: &Tables<'_>) -> Result<Option<(Stream, u64, i64)>, Error> {
        let mut oldest: Option<(Stream, u64, i64)> = None;
        for (stream, state) in self.all() {
            let found = tables.oldest_forwarded(stream, state)?;
            if let Some((sequence, at)) = found
                && oldest.is_none_or(|(_, _, older)| at < older)
            {
                oldest = Some((stream, sequence, at));
            }
        }
        Ok(oldest)
    }
}

/// Lets the oldest frames that the broker has leave until `wanted` more bytes fit, if that can be; answers how many do.
pub(super) fn make_room(
    tables: &mut Tables<'_>,
    states: &mut States,
    limits: Limits,
    wanted: u64,
) -> Result<u64, Error> {
    while states.bytes().saturating_add(wanted) > limits.bytes {
        let Some((stream, sequence, _)) = states.oldest(tables)? else { break };
        tables.remove(stream, states.of(stream), sequence)?;
    }
    Ok(limits.bytes.saturating_sub(states.bytes()))
}

/// Lets up to `max` frames and as many keys leave that are too old; answers how many did.
pub(super) fn expire(
    tables: &mut Tables<'_>,
    states: &mut States,
    limits: Limits,
    now: Timestamp,
    max: usize,
) -> Result<usize, Error> {
    let frames_before = limits.retained_since(now).as_microsecond();
    let mut gone = 0;
    while gone < max
        && let Some((stream, sequence, at)) = states.oldest(tables)?
        && at < frames_before
    {
        tables.remove(stream, states.of(stream), sequence)?;
        gone += 1;
    }
    let keys_before = now.checked_sub(KEYS_KEPT).unwrap_or(Timestamp::MIN);
    Ok(gone + tables.expire_keys(keys_before, max)?)
}
