//! `[broker]` with `kind = "kafka"`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::{Secret, TlsConfig};

/// How to come to Kafka, and what the topics shall be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Some brokers of the cluster: `host:9092`.
    pub brokers: Vec<String>,
    /// Prefix of topic names; installations with different ones share a cluster without meeting.
    pub prefix: String,
    /// Partitions of each log.
    pub partitions: u32,
    /// Copies of each partition in the cluster.
    pub replicas: i32,
    /// Invalidations older than this leave the log.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// Beyond this many bytes the oldest leave each partition of a log.
    pub retention_bytes: ByteSize,
    /// Consumer group under which lag tools see how far this process has read; left out: `PREFIX-HOST`.
    pub group: Option<String>,
    /// Who we are.
    pub sasl: Option<SaslConfig>,
    /// TLS.
    pub tls: Option<TlsConfig>,
}

/// User and password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaslConfig {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// User name.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SaslMechanism {
    /// Sent as it is: with TLS only.
    #[serde(rename = "plain")]
    Plain,
    /// Salted challenge, SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Salted challenge, SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            prefix: "purgebus".to_owned(),
            partitions: 1,
            replicas: 1,
            retention: Duration::from_hours(7 * 24),
            retention_bytes: ByteSize::gib(4),
            group: None,
            sasl: None,
            tls: None,
        }
    }
}
