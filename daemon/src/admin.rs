//! The admin port: `/health/live`, `/health/ready`, `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

use crate::{BoxError, Health, Stop};

/// The admin server of a process.
#[derive(Debug)]
pub struct Admin {}

impl Admin {
    /// Binds `listen` now, so that a taken port is an error before anything else starts.
    pub async fn bind(
        _listen: SocketAddr,
        _health: Health,
        _metrics: Arc<Mutex<Registry>>,
    ) -> Result<Self, BoxError> {
        todo!()
    }

    /// The address bound.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until stopped.
    pub async fn run(self, _stop: Stop) -> Result<(), BoxError> {
        todo!()
    }
}
