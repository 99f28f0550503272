//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

/// A client, as far as its connection tells. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(super) address: SocketAddr,
    pub(super) certificate: Option<Arc<str>>,
}

impl Peer {
    /// From an address, without a certificate.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, certificate: None }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom its certificate names, if it showed one that was checked: the subject's common name, else a name beside it.
    /// It is fit for logs; what may be done is up to the token.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}
