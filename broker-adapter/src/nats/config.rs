//! `[broker]` with `kind = "nats"`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::{Secret, TlsConfig};

/// How to come to NATS, and what the streams shall be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// The servers of one cluster: `nats://host:4222` or `tls://host:4222`.
    pub urls: Vec<String>,
    /// Prefix of stream and subject names; installations with different ones share a server without meeting.
    pub prefix: String,
    /// Partitions of each log: one subject each.
    pub partitions: u32,
    /// Copies of each stream in the cluster: 1, or 3.
    pub replicas: usize,
    /// Invalidations older than this leave the log.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// Beyond this many bytes the oldest leave each log.
    pub retention_bytes: ByteSize,
    /// User name.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A token instead of a user.
    pub token: Option<Secret>,
    /// A file with the token.
    pub token_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// A credentials file: JWT and seed.
    pub credentials_file: Option<PathBuf>,
    /// TLS.
    pub tls: Option<TlsConfig>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            prefix: "purgebus".to_owned(),
            partitions: 1,
            replicas: 1,
            retention: Duration::from_hours(7 * 24),
            retention_bytes: ByteSize::gib(4),
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey_file: None,
            credentials_file: None,
            tls: None,
        }
    }
}
