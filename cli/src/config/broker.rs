//! `[broker]`: what carries the messages.

use std::path::PathBuf;
use std::time::Duration;

use broker_adapter::EmbeddedConfig;
use bytesize::ByteSize;
use serde::Deserialize;

/// `[broker]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BrokerConfig {
    /// Which broker.
    pub(crate) kind: BrokerKind,
    /// The folder of the embedded log, which shares one database with the journal; so it is the folder of both.
    pub(crate) dir: Option<PathBuf>,
    /// Invalidations older than this leave the log.
    #[serde(with = "humantime_serde")]
    pub(crate) retention: Duration,
    /// Beyond this many bytes the oldest leave the log.
    pub(crate) retention_bytes: ByteSize,
}

/// Which broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    /// In this process.
    #[default]
    Embedded,
}

/// Brokers that the bus is made for and that this build does not have.
pub(crate) const NOT_YET: [&str; 2] = ["nats", "kafka"];

impl Default for BrokerConfig {
    fn default() -> Self {
        let EmbeddedConfig { retention, retention_bytes } = EmbeddedConfig::default();
        Self {
            kind: BrokerKind::default(),
            dir: None,
            retention,
            retention_bytes: ByteSize(retention_bytes),
        }
    }
}
