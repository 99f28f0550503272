//! The connection to Redis: one at a time per caller, replaced when it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo};

use super::fault::unavailable;
use crate::driver::PurgeError;

/// Opens connections and keeps the last one that worked.
pub(super) struct Link {
    target: ConnectionInfo,
    password_file: Option<PathBuf>,
    timeout: Duration,
    idle: Mutex<Option<MultiplexedConnection>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.target.addr().to_string())
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        target: ConnectionInfo,
        password_file: Option<PathBuf>,
        timeout: Duration,
    ) -> Self {
        Self { target, password_file, timeout, idle: Mutex::new(None) }
    }

    /// A connection that nobody else uses until it is given back: what a caller sends is answered on it
    /// in order. A caller that goes away midway takes it along, and its unread replies with it.
    pub(super) async fn take(&self) -> Result<MultiplexedConnection, PurgeError> {
        let idle = self.idle.lock().take();
        match idle {
            Some(connection) => Ok(connection),
            None => match tokio::time::timeout(self.timeout, self.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(unavailable(LinkError::Silent {
                    address: self.target.addr().to_string(),
                    timeout: self.timeout,
                })),
            },
        }
    }

    /// Gives a connection back after `outcome`. One on which Redis was unavailable is closed, since a
    /// new one may lead to a server that is well, or to the new primary.
    pub(super) fn give_back<T>(
        &self,
        connection: MultiplexedConnection,
        outcome: Result<T, PurgeError>,
    ) -> Result<T, PurgeError> {
        if !matches!(outcome, Err(PurgeError::Unavailable { .. })) {
            *self.idle.lock() = Some(connection);
        }
        outcome
    }

    /// No error of connecting is anybody's selector's fault.
    async fn connect(&self) -> Result<MultiplexedConnection, PurgeError> {
        let mut settings = self.target.redis_settings().clone().set_skip_set_lib_name();
        if let Some(file) = &self.password_file {
            settings = settings.set_password(password(file).await?);
        }
        let target = self.target.clone().set_redis_settings(settings);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(Some(self.timeout));
        Client::open(target)
            .map_err(unavailable)?
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(unavailable)
    }
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{address} did not take a connection within {timeout:?}")]
    Silent { address: String, timeout: Duration },
    #[error("cannot read password_file {}", .file.display())]
    NoPassword { file: PathBuf, source: std::io::Error },
}

/// Read anew for each connection, so that a changed password needs no restart.
async fn password(file: &Path) -> Result<String, PurgeError> {
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(source) => Err(unavailable(LinkError::NoPassword { file: file.to_owned(), source })),
    }
}
