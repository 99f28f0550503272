//! What a journal has for numbers that a lane lacks: frames to be sent again, or the knowledge that they are gone.

use bytes::Bytes;
use redb::{Database, Error, ReadableDatabase};
use schemas::{LineId, Number, NumberRange};

use super::lookup::StoredFrame;
use super::stream::{Stream, Streams};
use super::table::{FRAMES, LINES, NUMBERS, line_key, place};

/// Most frames of one answer.
const FRAMES_MAX: usize = 256;

/// What a journal has for a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where the line's messages go.
    pub(crate) stream: Stream,
    /// What it keeps of it and the broker once had.
    pub(crate) frames: Vec<StoredFrame>,
    /// What nobody has any more: frames that have left, and numbers that only a newer copy of this journal gave.
    pub(crate) gone: Vec<NumberRange>,
    /// What was not looked at.
    pub(crate) rest: Option<NumberRange>,
}

impl Kept {
    fn lose(&mut self, first: Number, last: Number) {
        if first <= last {
            self.gone.push(NumberRange { first, last });
        }
    }
}

/// What is kept of `numbers`, frames of up to about `bytes_max`; `None` for a line of someone else. `growing` says
/// whether the line still grows: then numbers above its last will be given, and are not gone.
pub(super) fn kept(
    database: &Database,
    streams: &Streams,
    line: LineId,
    numbers: NumberRange,
    growing: bool,
    bytes_max: usize,
) -> Result<Option<Kept>, Error> {
    let transaction = database.begin_read()?;
    let Some(row) = transaction.open_table(LINES)?.get(line_key(line))? else { return Ok(None) };
    let (topic, partition, last_given, _) = row.value();
    let Some(stream) = Stream::from_key((topic, partition)) else { return Ok(None) };
    let forwarded = streams.reach(stream).forwarded;
    let (index, frames) = (transaction.open_table(NUMBERS)?, transaction.open_table(FRAMES)?);
    let key = line_key(line);
    let start = match index.range((key, 0)..=(key, numbers.first))?.next_back() {
        Some(row) => row?.0.value().1,
        None => numbers.first,
    };
    let mut kept = Kept { stream, frames: Vec::new(), gone: Vec::new(), rest: None };
    let (mut next, mut bytes_found, mut looked_at) = (numbers.first, 0, 0);
    for row in index.range((key, start)..=(key, numbers.last))? {
        let sequence = row?.1.value();
        let Some(row) = frames.get((topic, partition, sequence))? else { continue };
        let (_, first, last, _, bytes) = row.value();
        if last < next {
            continue;
        }
        if bytes_found >= bytes_max || looked_at == FRAMES_MAX {
            kept.rest = Some(NumberRange { first: next, last: numbers.last });
            return Ok(Some(kept));
        }
        kept.lose(next, first.saturating_sub(1));
        looked_at += 1;
        // What the broker does not have yet, the forwarder brings.
        if sequence < forwarded {
            bytes_found += bytes.len();
            let bytes = Bytes::copy_from_slice(bytes);
            kept.frames.push(StoredFrame { sequence, first: place(key, first), bytes });
        }
        next = last + 1;
    }
    let last = if growing { numbers.last.min(last_given) } else { numbers.last };
    kept.lose(next, last);
    Ok(Some(kept))
}
