//! Redis: keys made from templates, removed by UNLINK.

use async_trait::async_trait;
use schemas::Abilities;
use serde::Deserialize;

use super::{Batch, Driver, PurgeError, Surroundings};

/// The driver's own keys of a `[[agent.cache]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where it listens.
    pub url: String,
}

/// The driver.
#[derive(Debug)]
pub struct Redis {}

impl Redis {
    /// Does not connect yet.
    pub fn new(_config: &RedisConfig, _surroundings: &Surroundings) -> Self {
        Self {}
    }
}

#[async_trait]
impl Driver for Redis {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        todo!()
    }

    async fn purge(&self, _batch: &Batch) -> Result<(), PurgeError> {
        todo!()
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        todo!()
    }
}
