//! Bytes on the log, on boards and in cursors: a versioned envelope around bincode bodies, decoded under a limit.

use bytes::Bytes;

use crate::{BoardMessage, Cursor, LogMessage};

/// Largest body decoded.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes were not understood. Whoever reads them parks and counts them.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not an envelope of ours, or a damaged one.
    #[error("malformed envelope: {0}")]
    Malformed(&'static str),
    /// Of a version or kind that this build does not know.
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
}

/// The bytes of a log message.
pub fn encode_log(_message: &LogMessage) -> Bytes {
    unimplemented!()
}

/// The log message in these bytes.
pub fn decode_log(_bytes: &[u8]) -> Result<LogMessage, WireError> {
    unimplemented!()
}

/// The bytes of a board message.
pub fn encode_board(_message: &BoardMessage) -> Bytes {
    unimplemented!()
}

/// The board message in these bytes.
pub fn decode_board(_bytes: &[u8]) -> Result<BoardMessage, WireError> {
    unimplemented!()
}

/// The bytes of a cursor.
pub fn encode_cursor(_cursor: &Cursor) -> Bytes {
    unimplemented!()
}

/// The cursor in these bytes.
pub fn decode_cursor(_bytes: &[u8]) -> Result<Cursor, WireError> {
    unimplemented!()
}
