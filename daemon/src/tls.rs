//! TLS at our own ports: a certificate that is checked before anything starts, and followed when its files change.

mod book;
mod certificate;
mod config;
mod enter;
mod expiry;
mod identity;

pub use self::book::TlsBook;
pub use self::config::{ClientCertificates, TlsConfig};
pub use self::expiry::{Certificates, EXPIRES_SOON};
pub use self::identity::{TlsMistake, TlsMistakes};

pub(crate) use self::enter::Entered;
