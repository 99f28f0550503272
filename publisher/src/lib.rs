//! Who speaks: the HTTP API, the journal that numbers, forwarding to the log, and the tracker of progress.

mod config;
mod tracker;

pub use config::PublisherConfig;
