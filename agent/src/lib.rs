//! Who listens: lanes that hear the log, purge their cache at once and again in later passes, and report.
//!
//! The pure parts (`floor`, `hear`, `lookup`, `batch`, `order`, `rebound`, `stretch`, `recent`, `retry`, `flush`, `notes`,
//! `line`, `ledger`, and `machine`, which composes them) know no clock, no await and no I/O; `feed`, `search`, `opening`,
//! `errand`, `lane`, `reporter` and `agent` are the shell.

mod agent;
mod batch;
mod board;
mod clocks;
mod closings;
mod config;
#[doc(hidden)]
pub mod cores;
pub mod driver;
mod errand;
mod feed;
mod floor;
mod flush;
#[doc(hidden)]
pub mod fuzzing;
mod hear;
mod lane;
mod ledger;
mod letter_folder;
mod letters;
mod line;
mod lookup;
mod machine;
mod map;
mod metrics;
mod notes;
mod opening;
mod order;
mod progress;
mod pulse;
mod rebound;
mod recent;
mod reporter;
mod retry;
mod roster;
mod search;
mod sequence;
mod shelf;
mod standing_orders;
mod stretch;
mod trust;

pub use agent::{Agent, AgentError, AgentSetup, Cache, CacheSwitch, Drivers, OpenDriver};
pub use config::{AgentConfig, BatchConfig, CacheConfig, LaneConfig, OnGap};
pub use shelf::ShelfError;
pub use trust::TrustBook;

/// Monotonic time since a lane began: all that the pure parts know of time.
pub(crate) type Moment = std::time::Duration;

/// An error and its causes on one line, for logs and reports.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
