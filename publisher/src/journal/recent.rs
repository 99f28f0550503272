//! What was accepted lately, newest first: ids carry the time of acceptance, so that their order is its order.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use redb::{Database, Error, ReadTransaction, ReadableDatabase};
use schemas::{Frame, Invalidation, Number, Place};

use super::lookup::{frame_with, position};
use super::table::{IDS, line_key, place};

/// Most invalidations shown at once.
const SHOWN_MAX: usize = 4_096;

/// Most bytes of frames read at once.
const BYTES_MAX: usize = 16 << 20;

/// Frames held while their neighbours are shown: one for each stream that many requests write at once.
const FRAMES_HELD: usize = 16;

/// Shows what is kept of these ids to `look`, the newest first, until that breaks or enough was read; answers the last
/// id shown where something may be left.
pub(super) fn recent<T>(
    database: &Database,
    ids: Range<u128>,
    mut found: T,
    mut look: impl FnMut(&mut T, Place, &Invalidation) -> ControlFlow<()>,
) -> Result<(T, Option<u128>), Error> {
    if ids.is_empty() {
        return Ok((found, None));
    }
    let transaction = database.begin_read()?;
    let mut frames = Frames { transaction: &transaction, held: VecDeque::new(), bytes: 0 };
    for (shown, row) in (1..).zip(transaction.open_table(IDS)?.range(ids)?.rev()) {
        let (id, row) = row?;
        let (line, number) = row.value();
        let broken = match frames.take(line, number)? {
            Some(invalidation) => look(&mut found, place(line, number), invalidation).is_break(),
            None => false,
        };
        if broken || shown == SHOWN_MAX || frames.bytes >= BYTES_MAX {
            return Ok((found, Some(id.value())));
        }
    }
    Ok((found, None))
}

/// Frames read, the latest last.
struct Frames<'a> {
    transaction: &'a ReadTransaction,
    held: VecDeque<Frame>,
    bytes: usize,
}

impl Frames<'_> {
    fn take(&mut self, line: u128, number: Number) -> Result<Option<&Invalidation>, Error> {
        let carries =
            |frame: &Frame| line_key(frame.line) == line && frame.numbers().contains(number);
        if !self.held.iter().any(carries) {
            let Some((frame, bytes)) = frame_with(self.transaction, line, number)? else {
                return Ok(None);
            };
            self.bytes += bytes;
            self.held.push_back(frame);
            self.held.drain(..self.held.len().saturating_sub(FRAMES_HELD));
        }
        let frame = self.held.iter().find(|frame| carries(frame));
        Ok(frame.and_then(|frame| frame.invalidations.get(position(frame, number)?)))
    }
}
