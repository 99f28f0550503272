//! The tracker's tables.
//!
//! ```text
//! tracker.instances  (agent, instance)                             -> (sequence, heard at)
//! tracker.lanes      (agent, cache, priority)                      -> (departed, report of this lane alone)
//! tracker.lines      (agent, cache, priority, line)                -> floors, ranges and bases
//! tracker.times      (agent, cache, priority, line, pass, first)   -> (last, first reported settled at)
//! tracker.own_lines  line                                          -> (priority, since)
//! ```
//!
//! `store/members.rs` has the tables of retirements and publishers. Times are microseconds; a pass is 0, the first, or 1, the last. A report is a board message.

mod members;

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use schemas::wire::{WireError, decode_board, encode_board};
use schemas::{BoardMessage, LineId, LineReport, NumberRange, Outcome, Priority};
use uuid::Uuid;

use super::pass::{Timed, UnstoredTimes};
use super::registry::Instance;
use super::scope::KindAbilities;
use super::stored::{LaneKey, LaneRow, LineRow, OwnLineRow, PassKey, Stored, Unstored};

type Text = &'static str;
type LineKey = (Text, Text, u8, u128);
type TimeKey = (Text, Text, u8, u128, u8, u64);
type Ranges = Vec<(u64, u64)>;
/// Base, owed from, applied, above that, final, above that, outcomes, abilities.
type LineValue = (u64, u64, u64, Ranges, u64, Ranges, Vec<(u64, u64, u8)>, Vec<(u64, u64, u16)>);

const INSTANCES: TableDefinition<(Text, u128), (u64, i64)> =
    TableDefinition::new("tracker.instances");
const LANES: TableDefinition<(Text, Text, u8), (bool, &'static [u8])> =
    TableDefinition::new("tracker.lanes");
const LINES: TableDefinition<LineKey, LineValue> = TableDefinition::new("tracker.lines");
const TIMES: TableDefinition<TimeKey, (u64, i64)> = TableDefinition::new("tracker.times");
const OWN_LINES: TableDefinition<u128, (u8, i64)> = TableDefinition::new("tracker.own_lines");

/// Why the registry could not be read or written. Without it nothing may be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk or the database.
    #[error("the tracker's tables failed")]
    Database(#[source] Box<redb::Error>),
    /// A report that this build does not understand.
    #[error("the tracker holds a report that was not understood")]
    Report(#[source] WireError),
    /// A row that this build does not understand.
    #[error("the tracker holds a damaged row in {0}")]
    Damaged(&'static str),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Reads everything. Blocks on the disk.
pub(super) fn load(database: &Database) -> Result<Stored, StoreError> {
    create_tables(database)?;
    let read = database.begin_read()?;
    let mut stored = Stored::default();
    for row in read.open_table(INSTANCES)?.iter()? {
        let (key, value) = row?;
        let ((agent, id), (sequence, heard_at)) = (key.value(), value.value());
        let agent = agent.parse().map_err(|_| StoreError::Damaged("instances"))?;
        let heard_at = time_of(heard_at)?;
        let instance = Instance { id: Uuid::from_u128(id), sequence, heard_at };
        stored.instances.entry(agent).or_default().push(instance);
    }
    for row in read.open_table(LANES)?.iter()? {
        let (key, value) = row?;
        let ((agent, cache, priority), (departed, report)) = (key.value(), value.value());
        let BoardMessage::Report(report) = decode_board(report).map_err(StoreError::Report)? else {
            return Err(StoreError::Damaged("lanes"));
        };
        let key = lane_key(agent, cache, priority)?;
        stored.lanes.push(LaneRow { key, departed, report: *report });
    }
    for row in read.open_table(LINES)?.iter()? {
        let (key, value) = row?;
        let (agent, cache, priority, line) = key.value();
        let owner = lane_key(agent, cache, priority)?;
        stored.lines.push(line_row(owner, line_of(line), value.value())?);
    }
    for row in read.open_table(TIMES)?.iter()? {
        let (key, value) = row?;
        let ((agent, cache, priority, line, pass, first), (last, at)) =
            (key.value(), value.value());
        let owner = lane_key(agent, cache, priority)?;
        let key = PassKey { lane: owner, line: line_of(line), last_pass: pass != 0 };
        let timed = Timed { numbers: NumberRange { first, last }, at: time_of(at)? };
        stored.times.entry(key).or_default().push(timed);
    }
    for row in read.open_table(OWN_LINES)?.iter()? {
        let (key, value) = row?;
        let (priority, since) = value.value();
        let (priority, since) = (priority_of(priority)?, time_of(since)?);
        stored.own_lines.push(OwnLineRow { line: line_of(key.value()), priority, since });
    }
    members::load(&read, &mut stored)?;
    Ok(stored)
}

/// Writes what has changed, in one transaction. Blocks on the disk.
pub(super) fn save(database: &Database, unstored: &Unstored) -> Result<(), StoreError> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    members::remove_agents(&write, &unstored.removed)?;
    members::save(&write, unstored)?;
    save_agents(&write, unstored)?;
    forget_lines(&write, &unstored.forgotten)?;
    let mut lines = write.open_table(LINES)?;
    for row in &unstored.lines {
        let (agent, cache, priority) = lane_columns(&row.lane);
        lines.insert((agent, cache, priority, line_column(row.report.line)), line_value(row))?;
    }
    drop(lines);
    for (key, times) in &unstored.times {
        save_times(&write, key, times)?;
    }
    write.commit()?;
    Ok(())
}

fn create_tables(database: &Database) -> Result<(), StoreError> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    write.open_table(INSTANCES)?;
    write.open_table(LANES)?;
    write.open_table(LINES)?;
    write.open_table(TIMES)?;
    write.open_table(OWN_LINES)?;
    members::create(&write)?;
    write.commit()?;
    Ok(())
}

fn save_agents(write: &WriteTransaction, unstored: &Unstored) -> Result<(), StoreError> {
    let mut instances = write.open_table(INSTANCES)?;
    for (agent, known) in &unstored.instances {
        let agent = agent.as_str();
        instances.retain_in((agent, 0)..=(agent, u128::MAX), |_, _| false)?;
        for instance in known {
            let row = (instance.sequence, instance.heard_at.as_microsecond());
            instances.insert((agent, instance.id.as_u128()), row)?;
        }
    }
    let mut lanes = write.open_table(LANES)?;
    for row in &unstored.lanes {
        let report = encode_board(&BoardMessage::Report(Box::new(row.report.clone())));
        lanes.insert(lane_columns(&row.key), (row.departed, &report[..]))?;
    }
    let mut own_lines = write.open_table(OWN_LINES)?;
    for row in &unstored.own_lines {
        let value = (row.priority as u8, row.since.as_microsecond());
        own_lines.insert(line_column(row.line), value)?;
    }
    Ok(())
}

fn forget_lines(
    write: &WriteTransaction,
    forgotten: &[(LaneKey, LineId)],
) -> Result<(), StoreError> {
    let mut lines = write.open_table(LINES)?;
    let mut times = write.open_table(TIMES)?;
    for (lane, line) in forgotten {
        let ((agent, cache, priority), line) = (lane_columns(lane), line_column(*line));
        lines.remove((agent, cache, priority, line))?;
        let first = (agent, cache, priority, line, 0, 0);
        times.retain_in(first..=(agent, cache, priority, line, u8::MAX, u64::MAX), |_, _| false)?;
    }
    Ok(())
}

fn save_times(
    write: &WriteTransaction,
    key: &PassKey,
    unstored: &UnstoredTimes,
) -> Result<(), StoreError> {
    let mut times = write.open_table(TIMES)?;
    let (agent, cache, priority) = lane_columns(&key.lane);
    let row =
        |first| (agent, cache, priority, line_column(key.line), u8::from(key.last_pass), first);
    times.retain_in(row(0)..row(unstored.kept_from), |_, _| false)?;
    times.retain_in(row(unstored.from)..=row(u64::MAX), |_, _| false)?;
    for Timed { numbers, at } in &unstored.times {
        times.insert(row(numbers.first), (numbers.last, at.as_microsecond()))?;
    }
    Ok(())
}

fn line_value(row: &LineRow) -> LineValue {
    let LineReport { base, applied, finished, .. } = row.report;
    let ranges = |ranges: &[NumberRange]| ranges.iter().map(|at| (at.first, at.last)).collect();
    let exceptions = row.report.exceptions.iter();
    let judged = row.judged.iter();
    (
        base,
        row.owed_from,
        applied,
        ranges(&row.report.applied_above),
        finished,
        ranges(&row.report.finished_above),
        exceptions.map(|(at, outcome)| (at.first, at.last, *outcome as u8)).collect(),
        judged.map(|(at, kinds)| (at.first, at.last, kinds.bits())).collect(),
    )
}

fn line_row(owner: LaneKey, line: LineId, value: LineValue) -> Result<LineRow, StoreError> {
    let (base, owed_from, applied, applied_above, finished, finished_above, exceptions, judged) =
        value;
    let range = |first, last| NumberRange { first, last };
    let ranges =
        |ranges: Ranges| ranges.into_iter().map(|(first, last)| range(first, last)).collect();
    let outcome =
        |of: u8| Outcome::ALL.get(usize::from(of)).copied().ok_or(StoreError::Damaged("lines"));
    let exceptions = exceptions
        .into_iter()
        .map(|(first, last, of)| Ok((range(first, last), outcome(of)?)))
        .collect::<Result<_, StoreError>>()?;
    let judged = judged.into_iter();
    Ok(LineRow {
        lane: owner,
        owed_from,
        judged: judged
            .map(|(first, last, bits)| (range(first, last), KindAbilities::from_bits(bits)))
            .collect(),
        report: LineReport {
            line,
            base,
            applied,
            applied_above: ranges(applied_above),
            finished,
            finished_above: ranges(finished_above),
            exceptions,
            holes: Vec::new(),
        },
    })
}

fn lane_columns(lane: &LaneKey) -> (&str, &str, u8) {
    (lane.agent.as_str(), lane.cache.as_str(), lane.priority as u8)
}

fn lane_key(agent: &str, cache: &str, priority: u8) -> Result<LaneKey, StoreError> {
    let damaged = |_| StoreError::Damaged("a lane's name");
    Ok(LaneKey {
        agent: agent.parse().map_err(damaged)?,
        cache: cache.parse().map_err(damaged)?,
        priority: priority_of(priority)?,
    })
}

fn priority_of(column: u8) -> Result<Priority, StoreError> {
    let priority = Priority::ALL.into_iter().find(|priority| *priority as u8 == column);
    priority.ok_or(StoreError::Damaged("a priority"))
}

fn line_column(line: LineId) -> u128 {
    u128::from_be_bytes(line.to_bytes())
}

fn line_of(column: u128) -> LineId {
    LineId::from_bytes(column.to_be_bytes())
}

fn time_of(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|_| StoreError::Damaged("a time"))
}
