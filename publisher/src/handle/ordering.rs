//! What orders of humans have in common: an order's name, and why nothing was ordered.

use schemas::api::Mistake;
use serde::Serialize;
use uuid::Uuid;

use super::{PublisherHandle, Repeatable, idempotency};
use crate::tracker::OrderError;

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOrdered {
    /// It is wrong: fix all of these.
    #[error("{} mistakes in the request", .0.len())]
    Invalid(Vec<Mistake>),
    /// It cannot be said.
    #[error("it cannot be ordered now")]
    Order(#[from] OrderError),
}

impl PublisherHandle {
    /// The name of an order: of who asks under which key for what, where it may be given again.
    pub(super) fn order_id(
        &self,
        repeatable: Option<Repeatable<'_>>,
        request: &impl Serialize,
    ) -> Uuid {
        let Some(repeatable) = repeatable else { return self.new_id() };
        let digests = idempotency(repeatable, request);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&digests.key[..8]);
        bytes[8..].copy_from_slice(&digests.request[..8]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}
