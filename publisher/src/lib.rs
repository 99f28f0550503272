//! Who speaks: the HTTP API, the journal that numbers, forwarding to the log, and the tracker of progress.

mod audit;
mod blocking;
mod budget;
mod caller;
mod config;
#[doc(hidden)]
pub mod cores;
mod forwarder;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod heartbeat;
mod intake;
mod journal;
mod metrics;
mod outlet;
mod problem;
mod publisher;
mod repair;
mod replays;
mod routes;
#[cfg(test)]
mod samples;
mod search;
mod signing;
mod tokens;
mod tracker;

pub use audit::{AuditError, AuditFilter, AuditFolder, AuditListed};
pub use budget::{NoRate, Overdrawn, Rate};
pub use config::PublisherConfig;
pub use handle::{AcceptError, PublisherHandle, StatusError};
pub use journal::{JournalError, JournalStore};
pub use outlet::Outlet;
pub use publisher::{Publisher, PublisherError, PublisherSetup};
pub use tokens::{Act, Everything, TokenBook, TokenEntry, Tokens, TokensError};
pub use tracker::Until;

/// An error and its causes on one line, for logs.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
