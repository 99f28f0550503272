//! Instants and spans, exact to the nanosecond.

use bincode::{BorrowDecode, Encode};
use jiff::Timestamp;

use crate::wire::WireError;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
pub(super) struct Time(i128);

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time.as_nanosecond())
    }
}

impl TryFrom<Time> for Timestamp {
    type Error = WireError;

    fn try_from(time: Time) -> Result<Self, WireError> {
        // Any time of this age fits into 64 bits, which divide many times faster.
        let read = match i64::try_from(time.0) {
            Ok(time) => from_nanosecond(time),
            Err(_) => Self::from_nanosecond(time.0),
        };
        read.map_err(|_| WireError::Invalid(format!("time {} ns is out of range", time.0)))
    }
}

fn from_nanosecond(time: i64) -> Result<Timestamp, jiff::Error> {
    const SECOND: i64 = 1_000_000_000;
    let nanosecond = i32::try_from(time.rem_euclid(SECOND)).unwrap_or_default();
    Timestamp::new(time.div_euclid(SECOND), nanosecond)
}

/// Whole seconds, and nanoseconds below one second.
#[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
pub(super) struct Duration(u64, u32);

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        Self(span.as_secs(), span.subsec_nanos())
    }
}

impl TryFrom<Duration> for std::time::Duration {
    type Error = WireError;

    fn try_from(Duration(seconds, nanoseconds): Duration) -> Result<Self, WireError> {
        if nanoseconds < 1_000_000_000 {
            Ok(Self::new(seconds, nanoseconds))
        } else {
            Err(WireError::Invalid(format!("{nanoseconds} ns are a second or more")))
        }
    }
}
