//! What is said on the bus: validated words, invalidations, frames, reports, API bodies, and their bytes on the log.
//!
//! Knows meaning, not transport: nothing here reads a clock, a socket or a file.

pub mod api;
mod board;
mod cursor;
mod dead_letter;
mod exchange;
mod frame;
mod invalidation;
mod key;
mod legible;
mod line;
mod name;
mod order;
mod outcome;
mod pause;
mod refusal;
mod report;
mod retirement;
mod selector;
mod site;
mod text;
mod url;
pub mod wire;

pub use board::{BoardMessage, LogMessage, PUBLISHERS_BOARD, REPORTS_BOARD};
pub use cursor::{ClosedLine, Cursor, Flushed, LineCursor, ResumeHint};
pub use dead_letter::{
    CHOSEN_LETTERS_MAX, ChosenLetters, DeadLetter, DeadLetters, KeptLetter, LetterState,
};
pub use exchange::Exchange;
pub use frame::{FRAME_BYTES_MAX, Frame, Heartbeat, Incarnation, Lost};
pub use invalidation::{Audience, Gate, Invalidation, Mode, Priority, Recipients};
pub use key::{
    KeyError, KeyId, PublicKey, SIGNATURE_BYTES, SigningKey, TRUSTED_KEYS_MAX, Trust, TrustedKeys,
};
pub use legible::{legible, legible_lines};
pub use line::{LineId, Number, NumberRange, Place};
pub use name::{AgentName, CacheName, PublisherName, Region, SiteName};
pub use order::{ORDERS_MAX, Order, Ordered, Orders};
pub use outcome::Outcome;
pub use pause::{LANE_PAUSES_MAX, LanePause, PAUSE_MAX, Paused};
pub use refusal::Refusal;
pub use report::{
    Abilities, Ability, CacheReport, CircuitState, ClockReading, LaneReport, LineReport,
    OutcomeCounts, Report,
};
pub use retirement::{OpenLine, Retired, Retirement};
pub use selector::{Key, QueryMatch, Selector, SelectorKind, Tag};
pub use site::{Site, Sites};
pub use url::{Host, Path, Query, Scheme, Url};
