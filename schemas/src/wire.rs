//! Bytes on the log, on boards and in cursors: a versioned envelope around bincode bodies, decoded under a limit.
//!
//! `docs/wire.md` publishes the layout for readers in other languages.

mod envelope;
mod known;
mod signed;
mod v1;

use bincode::BorrowDecode;
use bytes::Bytes;

use self::envelope::{Envelope, kind};
use self::known::Known;
use crate::{BoardMessage, Cursor, Frame, KeptLetter, LogMessage, Refusal};

pub use self::signed::{Distrust, Spot, sign, verify};

/// Largest body, and most memory that decoding one may claim.
///
/// Encoding never fails, because nothing that the bus lets in comes near this: a request has at most 256 KiB and its
/// bytes grow less than tenfold; a report or cursor would need 900,000 number ranges, which 20 caches with windows of
/// 10,000 numbers settled in the worst order do not reach. What is larger all the same, every reader refuses.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why bytes were not understood. Whoever reads them parks and counts them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not an envelope of ours, or a damaged one.
    #[error("malformed envelope: {0}")]
    Malformed(&'static str),
    /// Of a version or kind that this build does not know, or that does not belong here.
    #[error("unknown {what} {value}")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// A sound envelope around a body that is not canonical.
    #[error("invalid body: {0}")]
    Invalid(String),
    /// Nobody whom the reader trusts has said this in this place.
    #[error("not believed: {0}")]
    Distrusted(#[from] Distrust),
}

impl WireError {
    fn unknown(what: &'static str, value: impl Into<u32>) -> Self {
        Self::Unknown { what, value: value.into() }
    }
}

impl From<Refusal> for WireError {
    fn from(refusal: Refusal) -> Self {
        Self::Invalid(refusal.to_string())
    }
}

/// The bytes of a log message.
pub fn encode_log(message: &LogMessage) -> Bytes {
    match message {
        LogMessage::Frame(frame) => {
            envelope::seal(kind::FRAME, v1::SCHEMA, &v1::Frame::from(frame))
        }
        LogMessage::Heartbeat(heartbeat) => {
            envelope::seal(kind::HEARTBEAT, v1::SCHEMA, &v1::Heartbeat::from(heartbeat))
        }
        LogMessage::Lost(lost) => envelope::seal(kind::LOST, v1::SCHEMA, &v1::Lost::from(lost)),
    }
}

/// How many bytes a frame takes on the log.
pub fn frame_bytes(frame: &Frame) -> usize {
    envelope::sealed_bytes(&v1::Frame::from(frame))
}

/// The log message in these bytes, all of them; whoever wrote them. See [`verify`].
pub fn decode_log(bytes: &[u8]) -> Result<LogMessage, WireError> {
    LogDecoder::default().decode(bytes)
}

/// Decodes one log message after the other; names that they have in common share their memory.
#[derive(Debug, Default)]
pub struct LogDecoder {
    known: Known,
}

impl LogDecoder {
    /// The log message in these bytes, all of them; whoever wrote them. See [`verify`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<LogMessage, WireError> {
        let envelope = Envelope::open(bytes)?;
        match (envelope.kind, envelope.schema) {
            (kind::FRAME, v1::SCHEMA) => {
                Ok(LogMessage::Frame(envelope.body::<v1::Frame>()?.read(&mut self.known)?))
            }
            (kind::HEARTBEAT, v1::SCHEMA) => {
                Ok(LogMessage::Heartbeat(envelope.body::<v1::Heartbeat>()?.try_into()?))
            }
            (kind::LOST, v1::SCHEMA) => {
                Ok(LogMessage::Lost(envelope.body::<v1::Lost>()?.try_into()?))
            }
            (kind::FRAME | kind::HEARTBEAT | kind::LOST, schema) => {
                Err(WireError::unknown("schema", schema))
            }
            (kind, _) => Err(WireError::unknown("kind of log message", kind)),
        }
    }
}

/// The bytes of a board message.
pub fn encode_board(message: &BoardMessage) -> Bytes {
    match message {
        BoardMessage::Report(report) => {
            envelope::seal(kind::REPORT, v1::SCHEMA, &v1::Report::from(&**report))
        }
        BoardMessage::Incarnation(incarnation) => {
            envelope::seal(kind::INCARNATION, v1::SCHEMA, &v1::Incarnation::from(incarnation))
        }
        BoardMessage::Retirement(retirement) => {
            envelope::seal(kind::RETIREMENT, v1::SCHEMA, &v1::Retirement::from(retirement))
        }
        BoardMessage::Orders(orders) => {
            envelope::seal(kind::ORDERS, v1::SCHEMA, &v1::Orders::from(orders))
        }
    }
}

/// The board message in these bytes, all of them; whoever wrote them. See [`verify`].
pub fn decode_board(bytes: &[u8]) -> Result<BoardMessage, WireError> {
    let envelope = Envelope::open(bytes)?;
    match (envelope.kind, envelope.schema) {
        (kind::REPORT, v1::SCHEMA) => {
            let report = envelope.body::<v1::Report>()?.try_into()?;
            Ok(BoardMessage::Report(Box::new(report)))
        }
        (kind::INCARNATION, v1::SCHEMA) => {
            Ok(BoardMessage::Incarnation(envelope.body::<v1::Incarnation>()?.try_into()?))
        }
        (kind::RETIREMENT, v1::SCHEMA) => {
            Ok(BoardMessage::Retirement(envelope.body::<v1::Retirement>()?.try_into()?))
        }
        (kind::ORDERS, v1::SCHEMA) => {
            Ok(BoardMessage::Orders(envelope.body::<v1::Orders>()?.try_into()?))
        }
        (kind::REPORT | kind::INCARNATION | kind::RETIREMENT | kind::ORDERS, schema) => {
            Err(WireError::unknown("schema", schema))
        }
        (kind, _) => Err(WireError::unknown("kind of board message", kind)),
    }
}

/// The bytes of a dead letter's file.
pub fn encode_letter(letter: &KeptLetter) -> Bytes {
    envelope::seal(kind::LETTER, v1::SCHEMA, &v1::KeptLetter::from(letter))
}

/// The dead letter in these bytes, all of them.
pub fn decode_letter(bytes: &[u8]) -> Result<KeptLetter, WireError> {
    open_one::<v1::KeptLetter>(bytes, kind::LETTER, "kind of dead letter")?.try_into()
}

/// The bytes of a cursor.
pub fn encode_cursor(cursor: &Cursor) -> Bytes {
    envelope::seal(kind::CURSOR, v1::SCHEMA, &v1::Cursor::from(cursor))
}

/// The cursor in these bytes, all of them.
pub fn decode_cursor(bytes: &[u8]) -> Result<Cursor, WireError> {
    open_one::<v1::Cursor>(bytes, kind::CURSOR, "kind of cursor")?.try_into()
}

/// What is in these bytes, all of them, where only one kind belongs; `what` names the others.
fn open_one<'a, T: BorrowDecode<'a, ()>>(
    bytes: &'a [u8],
    kind: u8,
    what: &'static str,
) -> Result<T, WireError> {
    let envelope = Envelope::open(bytes)?;
    match (envelope.kind, envelope.schema) {
        (found, _) if found != kind => Err(WireError::unknown(what, found)),
        (_, v1::SCHEMA) => envelope.body(),
        (_, schema) => Err(WireError::unknown("schema", schema)),
    }
}
