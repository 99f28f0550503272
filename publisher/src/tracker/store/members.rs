//! The tables of retirements, publishers and their orders, and forgetting an agent.
//!
//! ```text
//! tracker.retirements  key on the board -> (returned at, board message)
//! tracker.publishers   name             -> (heard at, board message)
//! tracker.orders       publisher        -> board message
//! ```
//!
//! A time that is not is the lowest number.

use jiff::Timestamp;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use schemas::wire::{decode_board, encode_board};
use schemas::{AgentName, BoardMessage};

use super::{INSTANCES, LANES, LINES, StoreError, TIMES, Text, time_of};
use crate::tracker::stored::{PublisherRow, RetirementRow, Stored, Unstored};

const RETIREMENTS: TableDefinition<Text, (i64, &'static [u8])> =
    TableDefinition::new("tracker.retirements");
const PUBLISHERS: TableDefinition<Text, (i64, &'static [u8])> =
    TableDefinition::new("tracker.publishers");

const ORDERS: TableDefinition<Text, &'static [u8]> = TableDefinition::new("tracker.orders");

const NEVER: i64 = i64::MIN;
/// Above every name.
const LAST: Text = "\u{10ffff}";

pub(super) fn create(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(RETIREMENTS)?;
    write.open_table(PUBLISHERS)?;
    write.open_table(ORDERS)?;
    Ok(())
}

pub(super) fn load(read: &ReadTransaction, stored: &mut Stored) -> Result<(), StoreError> {
    for row in read.open_table(RETIREMENTS)?.iter()? {
        let (_, value) = row?;
        let (returned_at, message) = value.value();
        let BoardMessage::Retirement(retirement) =
            decode_board(message).map_err(StoreError::Report)?
        else {
            return Err(StoreError::Damaged("retirements"));
        };
        let returned_at = maybe_time(returned_at)?;
        stored.retirements.push(RetirementRow { retirement, returned_at });
    }
    for row in read.open_table(PUBLISHERS)?.iter()? {
        let (_, value) = row?;
        let (heard_at, message) = value.value();
        let BoardMessage::Incarnation(incarnation) =
            decode_board(message).map_err(StoreError::Report)?
        else {
            return Err(StoreError::Damaged("publishers"));
        };
        stored.publishers.push(PublisherRow { incarnation, heard_at: maybe_time(heard_at)? });
    }
    for row in read.open_table(ORDERS)?.iter()? {
        let (_, value) = row?;
        let BoardMessage::Orders(orders) =
            decode_board(value.value()).map_err(StoreError::Report)?
        else {
            return Err(StoreError::Damaged("orders"));
        };
        stored.orders.push(orders);
    }
    Ok(())
}

pub(super) fn save(write: &WriteTransaction, unstored: &Unstored) -> Result<(), StoreError> {
    let mut retirements = write.open_table(RETIREMENTS)?;
    for key in &unstored.forgotten_retirements {
        retirements.remove(key.as_str())?;
    }
    for RetirementRow { retirement, returned_at } in &unstored.retirements {
        let message = BoardMessage::Retirement(retirement.clone());
        let value = (column(*returned_at), &encode_board(&message)[..]);
        retirements.insert(message.key().as_str(), value)?;
    }
    let mut publishers = write.open_table(PUBLISHERS)?;
    for name in &unstored.forgotten_publishers {
        publishers.remove(name.as_str())?;
        retirements.remove(format!("-publisher.{name}").as_str())?;
    }
    for PublisherRow { incarnation, heard_at } in &unstored.publishers {
        let message = BoardMessage::Incarnation(incarnation.clone());
        let value = (column(*heard_at), &encode_board(&message)[..]);
        publishers.insert(incarnation.publisher.as_str(), value)?;
    }
    let mut orders = write.open_table(ORDERS)?;
    for of_one in &unstored.orders {
        let message = encode_board(&BoardMessage::Orders(of_one.clone()));
        orders.insert(of_one.by.as_str(), &message[..])?;
    }
    Ok(())
}

/// Forgets retired agents with all their lanes.
pub(super) fn remove_agents(
    write: &WriteTransaction,
    removed: &[AgentName],
) -> Result<(), StoreError> {
    if removed.is_empty() {
        return Ok(());
    }
    let mut instances = write.open_table(INSTANCES)?;
    let mut lanes = write.open_table(LANES)?;
    let mut progress = write.open_table(LINES)?;
    let mut times = write.open_table(TIMES)?;
    for agent in removed {
        let agent = agent.as_str();
        instances.retain_in((agent, 0)..=(agent, u128::MAX), |_, _| false)?;
        lanes.retain_in((agent, "", 0)..=(agent, LAST, u8::MAX), |_, _| false)?;
        progress.retain_in((agent, "", 0, 0)..=(agent, LAST, u8::MAX, u128::MAX), |_, _| false)?;
        let last = (agent, LAST, u8::MAX, u128::MAX, u8::MAX, u64::MAX);
        times.retain_in((agent, "", 0, 0, 0, 0)..=last, |_, _| false)?;
    }
    Ok(())
}

fn column(time: Option<Timestamp>) -> i64 {
    time.map_or(NEVER, Timestamp::as_microsecond)
}

fn maybe_time(column: i64) -> Result<Option<Timestamp>, StoreError> {
    if column == NEVER { Ok(None) } else { time_of(column).map(Some) }
}
