//! Lines and numbers: the place of an invalidation for ever, whatever carries it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Refusal;

/// One publisher incarnation on one topic partition: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LineId(Uuid);

impl LineId {
    /// A line nobody has used.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The line with these bits.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its bits.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for LineId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| Refusal::new("line", "is not 32 hexadecimal digits"))
    }
}

/// Where an invalidation stands in its line: 1, 2, 3 without a gap. 0 means "before the first".
pub type Number = u64;

/// Numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NumberRange {
    /// The lowest number.
    pub first: Number,
    /// The highest number; never below `first`.
    pub last: Number,
}

impl NumberRange {
    /// Whether `number` lies in it.
    pub fn contains(self, number: Number) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// An invalidation's place for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The line it was numbered in.
    pub line: LineId,
    /// Its number there.
    pub number: Number,
}
