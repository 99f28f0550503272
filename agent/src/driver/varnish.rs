//! Varnish by PURGE over HTTP/1.1: packed keys where our VCL is loaded, one URL a request where it is not.

use async_trait::async_trait;
use schemas::Abilities;
use serde::Deserialize;

use super::{Batch, Driver, PurgeError, Surroundings};

/// The driver's own keys of a `[[agent.cache]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarnishConfig {
    /// Where it listens.
    pub url: String,
}

/// The driver.
#[derive(Debug)]
pub struct Varnish {}

impl Varnish {
    /// Does not connect yet.
    pub fn new(_config: &VarnishConfig, _surroundings: &Surroundings) -> Self {
        Self {}
    }
}

#[async_trait]
impl Driver for Varnish {
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
