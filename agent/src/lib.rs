//! Who listens: lanes that hear the log, purge their cache at once and again in later passes, and report.

mod config;
pub mod driver;

pub use config::{AgentConfig, BatchConfig, CacheConfig, LaneConfig};
