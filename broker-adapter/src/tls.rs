//! `[broker.tls]`: how a broker proves who it is, and how we do.

use std::path::PathBuf;

use serde::Deserialize;

/// TLS to a broker; its presence turns TLS on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates of the authorities to trust, PEM; the system's where left out.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, PEM, where the broker asks for one.
    pub certificate_file: Option<PathBuf>,
    /// The key of our own certificate, PEM.
    pub key_file: Option<PathBuf>,
}
