//! What leaves the journal: frames that the broker has, by age and for room; idempotency keys by age.

use jiff::{SignedDuration, Timestamp};
use redb::Error;
use schemas::Priority;

use super::Limits;
use super::stream::Streams;
use super::table::StreamState;
use super::tables::Tables;

/// How long an idempotency key is remembered.
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The state of every stream within one transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct States([StreamState; Priority::ALL.len()]);

impl States {
    /// As stored, with what the broker has by now.
    pub(super) fn read(tables: &Tables<'_>, streams: &Streams) -> Result<Self, Error> {
        let [critical, normal] =
            Priority::ALL.map(|priority| tables.state(priority, streams.reach(priority).forwarded));
        Ok(Self([critical?, normal?]))
    }

    pub(super) fn store(self, tables: &mut Tables<'_>) -> Result<(), Error> {
        Priority::ALL.into_iter().try_for_each(|priority| {
            let mut states = self;
            tables.set_state(priority, *states.of(priority))
        })
    }

    pub(super) fn of(&mut self, priority: Priority) -> &mut StreamState {
        match priority {
            Priority::Critical => &mut self.0[0],
            Priority::Normal => &mut self.0[1],
        }
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|state| state.bytes).sum()
    }

    /// The oldest frame of all streams that may leave.
    fn oldest(&mut self, tables: &Tables<'_>) -> Result<Option<(Priority, u64, i64)>, Error> {
        let mut oldest: Option<(Priority, u64, i64)> = None;
        for priority in Priority::ALL {
            let found = tables.oldest_forwarded(priority, *self.of(priority))?;
            if let Some((sequence, at)) = found
                && oldest.is_none_or(|(_, _, older)| at < older)
            {
                oldest = Some((priority, sequence, at));
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
        let Some((priority, sequence, _)) = states.oldest(tables)? else { break };
        tables.remove(priority, states.of(priority), sequence)?;
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
        && let Some((priority, sequence, at)) = states.oldest(tables)?
        && at < frames_before
    {
        tables.remove(priority, states.of(priority), sequence)?;
        gone += 1;
    }
    let keys_before = now.checked_sub(KEYS_KEPT).unwrap_or(Timestamp::MIN);
    Ok(gone + tables.expire_keys(keys_before, max)?)
}
