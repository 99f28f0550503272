//! Frozen enums: the position of a word is its number on the wire.

use bincode::{BorrowDecode, Encode};

macro_rules! words {
    ($($name:ident { $($word:ident),+ $(,)? })+) => {$(
        #[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
        pub(super) enum $name { $($word),+ }

        impl From<crate::$name> for $name {
            fn from(value: crate::$name) -> Self {
                match value { $(crate::$name::$word => Self::$word),+ }
            }
        }

        impl From<$name> for crate::$name {
            fn from(value: $name) -> Self {
                match value { $($name::$word => Self::$word),+ }
            }
        }
    )+};
}

words! {
    Scheme { Http, Https }
    Mode { Soft, Hard }
    Priority { Critical, Normal }
    Outcome {
        NotOurs, Purged, Covered, Flushed, Expired, Cancelled, Bridged, Unsupported, Refused,
    }
    CircuitState { Closed, Open }
    LetterState { Refused, Retrying, Purged }
    Ability { Supported, Unsupported, NotHeld }
}
