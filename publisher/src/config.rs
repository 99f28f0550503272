//! Configuration of a publisher, as written in `[publisher]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use daemon::TlsConfig;
use schemas::{PublisherName, SiteName};
use serde::Deserialize;

use crate::budget::Rate;

/// `[publisher]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublisherConfig {
    /// Its name on the bus; the host name if left out.
    pub name: Option<PublisherName>,
    /// Where the API listens; anything but loopback needs `tokens_file`.
    pub listen: SocketAddr,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
    /// TLS at `listen`; without it the API speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// TLS at `admin`.
    pub admin_tls: Option<TlsConfig>,
    /// Most connections to the API at once.
    pub connections: usize,
    /// Most of them from one address.
    pub connections_per_address: usize,
    /// The folder of the journal.
    pub journal: PathBuf,
    /// Most bytes the journal keeps.
    pub journal_bytes: ByteSize,
    /// While what the broker does not have is older, nothing more is taken: 503.
    #[serde(with = "humantime_serde")]
    pub journal_age: Duration,
    /// Longer than this for the broker's ack: 202 with `durable = journal`.
    #[serde(with = "humantime_serde")]
    pub ack_wait: Duration,
    /// Bearer tokens; without it the API listens on loopback only.
    pub tokens_file: Option<PathBuf>,
    /// How much of a site may be purged here, whoever asks.
    pub site_budgets: BTreeMap<SiteName, Rate>,
    /// The private key that signs whatever leaves for the log.
    pub signing_key_file: Option<PathBuf>,
    /// Public keys of the publishers whose invalidations it may publish again; its own alone if left out.
    pub trusted_keys_file: Option<PathBuf>,
    /// The folder of the audit trail; the command line's is beside the journal's where none is written.
    pub audit_dir: Option<PathBuf>,
    /// How long the audit trail is kept.
    #[serde(with = "humantime_serde")]
    pub audit_keep: Duration,
    /// Most bytes of the audit trail: beyond them its oldest day goes first.
    pub audit_bytes: ByteSize,
    /// No audit trail is kept: nobody can tell who did what.
    pub unaudited: bool,
    /// Nothing is signed: whoever can write to the broker can purge and flush every cache.
    pub unsigned: bool,
}

impl Default for PublisherConfig {
    fn default() -> Self {
        Self {
            name: None,
            listen: ([127, 0, 0, 1], 8377).into(),
            admin: ([127, 0, 0, 1], 8376).into(),
            tls: None,
            admin_tls: None,
            connections: 1_024,
            connections_per_address: 256,
            journal: "/var/lib/purgebus/journal".into(),
            journal_bytes: ByteSize::gib(4),
            journal_age: Duration::from_hours(24),
            ack_wait: Duration::from_secs(1),
            tokens_file: None,
            site_budgets: BTreeMap::new(),
            signing_key_file: None,
            trusted_keys_file: None,
            audit_dir: None,
            audit_keep: Duration::from_hours(180 * 24),
            audit_bytes: ByteSize::gib(16),
            unaudited: false,
            unsigned: false,
        }
    }
}
