//! A driver of whose successes somebody takes note.

use std::fmt;
use std::sync::Arc;

use agent::driver::{Batch, CursorShelf, Driver, Fetches, PurgeError};
use async_trait::async_trait;
use schemas::Abilities;

/// Purges as `driver` does, and tells `note` of every batch that was purged.
pub(crate) fn noted(
    driver: Arc<dyn Driver>,
    note: impl Fn(&Batch) + Send + Sync + 'static,
) -> Arc<dyn Driver> {
    Arc::new(Noted { driver, note })
}

struct Noted<N> {
    driver: Arc<dyn Driver>,
    note: N,
}

#[async_trait]
impl<N: Fn(&Batch) + Send + Sync + 'static> Driver for Noted<N> {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        self.driver.abilities().await
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let fetches = self.driver.purge(batch).await?;
        (self.note)(batch);
        Ok(fetches)
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        self.driver.probe().await
    }

    fn shelf(&self) -> Option<&dyn CursorShelf> {
        self.driver.shelf()
    }
}

impl<N> fmt::Debug for Noted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noted").field("driver", &self.driver).finish_non_exhaustive()
    }
}
