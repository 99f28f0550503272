//! The driver of a model cache.

use std::sync::Arc;

use agent::driver::{Batch, Driver, Fetches, PurgeError};
use async_trait::async_trait;
use schemas::{Abilities, Ability, SelectorKind};
use tokio::time::sleep;

use super::cache::{Behaviour, Cache};

/// Purges a model cache as it lets itself be purged.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) cache: Arc<Cache>,
    pub(super) prefixes: Ability,
}

#[async_trait]
impl Driver for Model {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        self.answer().await?;
        Ok(Abilities { prefix: self.prefixes, ..Abilities::of_pages(100, "a model") })
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let behaviour = self.cache.behaviour();
        let has_tag = batch.purges.iter().any(|purge| purge.selector.kind() == SelectorKind::Tag);
        if has_tag && behaviour == Behaviour::RefusesTags {
            return Err(PurgeError::Refused("no tags here".into()));
        }
        if behaviour != Behaviour::Down {
            // Before the answer: nothing that comes while it is on its way is purged by it.
            for purge in &batch.purges {
                self.cache.purge(&purge.selector);
            }
        }
        self.answer().await.map(|()| Fetches::Unfenced)
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        self.answer().await
    }
}

impl Model {
    async fn answer(&self) -> Result<(), PurgeError> {
        match self.cache.behaviour() {
            Behaviour::Down => {
                Err(PurgeError::Unavailable { after: None, source: "down on purpose".into() })
            }
            Behaviour::Slow(takes) => {
                sleep(takes).await;
                Ok(())
            }
            Behaviour::Works | Behaviour::RefusesTags => Ok(()),
        }
    }
}
