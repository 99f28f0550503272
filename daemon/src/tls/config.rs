//! Configuration of TLS at a port, as written in tables such as `[publisher.tls]`.

use std::path::PathBuf;

use serde::Deserialize;

/// TLS at a port; its presence turns TLS on, and plain HTTP off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Our certificate with those of the authorities between it and the one that clients trust, PEM.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// Certificates of the authorities whose clients are trusted, PEM; without it no client is asked for one.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client must have one; with `client_ca_file` it must, if left out.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// Nobody gets in without one.
    Required,
    /// It may; one that nobody trusts is refused all the same.
    Asked,
}
