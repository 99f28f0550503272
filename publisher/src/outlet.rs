//! Where the journal's frames go.

use std::sync::Arc;

use broker_adapter::{Broker, Embedded, Message};
use bytes::Bytes;
use schemas::{Place, SigningKey};

use crate::signing::Signing;

/// The way to the log.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// The log lies in the journal's own database: numbering and appending are one commit and one fsync.
    Shared(Embedded),
    /// The log lies elsewhere: frames are forwarded after they are committed here.
    Remote(Arc<dyn Broker>),
}

impl Outlet {
    /// Whatever leaves this process leaves it signed; a shared log does not leave it.
    #[must_use]
    pub fn signed(self, key: SigningKey) -> Self {
        match self {
            Self::Shared(log) => Self::Shared(log),
            Self::Remote(broker) => Self::Remote(Arc::new(Signing::new(broker, key))),
        }
    }

    /// The log as everyone sees it.
    pub(crate) fn broker(&self) -> Arc<dyn Broker> {
        match self {
            Self::Shared(embedded) => Arc::new(embedded.clone()),
            Self::Remote(broker) => Arc::clone(broker),
        }
    }
}

/// A frame as a message. A retry keeps the epoch, since a publish that seemed to fail may still land; a repair
/// takes a new one, or a broker that deduplicates would drop it.
pub(crate) fn frame_message(first: Place, epoch: u64, frame: Bytes) -> Message {
    let Place { line, number } = first;
    Message { key: None, id: Some(format!("{line}.{number}.{epoch}")), body: frame }
}
