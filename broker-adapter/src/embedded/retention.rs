//! Removes the oldest messages of log topics, by age and by bytes, a bounded number per transaction.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::Timestamp;
use redb::{Database, Error, ReadableTable, Table};

use super::EmbeddedConfig;
use super::store::{self, MESSAGES, MessageKey, MessageValue, PARTITIONS, State};

/// Messages that one transaction removes: publishers wait for it.
const STEP_MESSAGES_MAX: u64 = 1000;

/// What retention took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// The oldest message of a partition; the oldest time sorts first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Oldest {
    time: i128,
    partition: u32,
    position: u64,
    bytes: u64,
}

/// Removes a first part of what is due; nothing removed means that nothing is due.
pub(super) fn step(
    database: &Database,
    config: &EmbeddedConfig,
    now: Timestamp,
) -> Result<Removed, Error> {
    let cutoff = now.checked_sub(config.retention).unwrap_or(Timestamp::MIN).as_nanosecond();
    let transaction = store::write(database)?;
    let mut removed = Removed::default();
    {
        let mut kept = transaction.open_table(MESSAGES)?;
        let mut partitions = transaction.open_table(PARTITIONS)?;
        for (topic, mut states) in log_topics(&partitions)? {
            let bytes_max = config.retention_bytes;
            removed += trim(&mut kept, &topic, &mut states, cutoff, bytes_max, removed.messages)?;
            for (partition, state) in states {
                partitions.insert((topic.as_str(), partition), state.row())?;
            }
        }
    }
    if removed == Removed::default() {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(removed)
}

fn log_topics(
    partitions: &Table<(&str, u32), (u64, i128, u64, bool)>,
) -> Result<BTreeMap<String, BTreeMap<u32, State>>, Error> {
    let mut topics: BTreeMap<String, BTreeMap<u32, State>> = BTreeMap::new();
    for row in partitions.iter()? {
        let (place, state) = row?;
        let ((topic, partition), state) = (place.value(), State::from(state.value()));
        if !state.board {
            topics.entry(topic.to_owned()).or_default().insert(partition, state);
        }
    }
    Ok(topics)
}

/// Removes the oldest of all partitions while it is older than `cutoff` or the topic is over `bytes_max`.
fn trim(
    kept: &mut Table<MessageKey, MessageValue>,
    topic: &str,
    states: &mut BTreeMap<u32, State>,
    cutoff: i128,
    bytes_max: u64,
    already: u64,
) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    let mut bytes: u64 = states.values().map(|state| state.bytes).sum();
    while already + removed.messages < STEP_MESSAGES_MAX {
        let mut oldest = None;
        for &partition in states.keys() {
            oldest = oldest.into_iter().chain(oldest_of(kept, topic, partition)?).min();
        }
        let Some(oldest) = oldest.filter(|oldest| oldest.time < cutoff || bytes > bytes_max) else {
            break;
        };
        kept.remove((topic, oldest.partition, oldest.position))?;
        if let Some(state) = states.get_mut(&oldest.partition) {
            state.bytes -= oldest.bytes;
        }
        bytes -= oldest.bytes;
        removed += Removed { messages: 1, bytes: oldest.bytes };
    }
    Ok(removed)
}

fn oldest_of(
    kept: &Table<MessageKey, MessageValue>,
    topic: &str,
    partition: u32,
) -> Result<Option<Oldest>, Error> {
    let Some(row) = kept.range((topic, partition, 0)..=(topic, partition, u64::MAX))?.next() else {
        return Ok(None);
    };
    let (place, message) = row?;
    let (time, _, body) = message.value();
    Ok(Some(Oldest { time, partition, position: place.value().2, bytes: body.len() as u64 }))
}
