//! Who speaks: the HTTP API, the journal that numbers, forwarding to the log, and the tracker of progress.

mod config;
mod journal;
mod outlet;
mod tracker;

pub use config::PublisherConfig;
pub use journal::{JournalError, Receipt, open_journal};
pub use outlet::Outlet;
