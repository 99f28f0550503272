//! Takes commits again that the store has lost: a crash came before it kept them for good.

use std::sync::Arc;

use broker_adapter::{Embedded, EmbeddedConfig};
use jiff::Timestamp;
use redb::{Database, Error, WriteTransaction};
use schemas::{LogMessage, Place, wire};

use super::JournalError;
use super::ahead::{Entry, Kept};
use super::table;
use super::tables::Tables;
use crate::outlet::frame_message;

/// Takes what the store lacks, durably all of it or nothing; answers how many commits that were.
pub(super) fn replay(database: &Arc<Database>, entries: &[Entry]) -> Result<usize, JournalError> {
    if entries.is_empty() {
        return Ok(0);
    }
    // It tells the time of nothing here: what is appended brings its own.
    let config = EmbeddedConfig::default();
    let log = Embedded::open(Arc::clone(database), config, || Timestamp::UNIX_EPOCH)?;
    let transaction = table::write(database)?;
    let mut redone = 0;
    for entry in entries {
        if store(&transaction, entry)? {
            redone += 1;
            if entry.shared {
                append(&transaction, &log, entry)?;
            }
        }
    }
    if redone > 0 {
        transaction.commit().map_err(Error::from)?;
    }
    Ok(redone)
}

/// Stores a commit, unless the store has it; answers whether it had not.
fn store(transaction: &WriteTransaction, entry: &Entry) -> Result<bool, Error> {
    let mut tables = Tables::open(transaction)?;
    for Kept { stream, sequence, forwarded, bytes } in &entry.frames {
        let mut state = tables.state(*stream)?;
        if *sequence < state.end {
            return Ok(false);
        }
        let Ok(LogMessage::Frame(frame)) = wire::decode_log(bytes) else {
            return Err(Error::Corrupted("a record whose frame is none".to_owned()));
        };
        if *sequence > state.end {
            return Err(Error::Corrupted(format!("no record of frame {}", state.end)));
        }
        tables.keep_frame(*stream, state.append(bytes.len()), &frame, bytes)?;
        state.forwarded = state.forwarded.max(*forwarded);
        tables.set_state(*stream, state)?;
    }
    for (asked, identity) in &entry.keys {
        tables.keep_key(asked, *identity)?;
    }
    Ok(true)
}

fn append(
    transaction: &WriteTransaction,
    log: &Embedded,
    entry: &Entry,
) -> Result<(), JournalError> {
    for Kept { stream, bytes, .. } in &entry.frames {
        let Ok(LogMessage::Frame(frame)) = wire::decode_log(bytes) else { continue };
        let first = Place { line: frame.line, number: frame.first };
        let message = frame_message(first, 0, bytes.clone());
        log.append(transaction, stream.topic(), stream.partition, &[message], entry.at)?;
    }
    Ok(())
}
