//! A cache that does nothing.

use agent::driver::{Batch, Driver, Fetches, PurgeError};
use async_trait::async_trait;
use schemas::Abilities;

/// More than any lane puts into a batch.
const BATCH_SELECTORS_MAX: u32 = 1_000;

/// Whatever it is told to purge it has purged.
#[derive(Debug)]
pub(crate) struct NoOp;

#[async_trait]
impl Driver for NoOp {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        Ok(Abilities::of_pages(BATCH_SELECTORS_MAX, "nothing"))
    }

    async fn purge(&self, _: &Batch) -> Result<Fetches, PurgeError> {
        Ok(Fetches::Unfenced)
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        Ok(())
    }
}
