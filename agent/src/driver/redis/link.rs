//! The connection to Redis: one at a time, replaced when it fails.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker_adapter::TlsConfig;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates,
};

use super::config::RedisConfig;
use super::fault::unavailable;
use crate::driver::{PurgeError, Session};

/// Opens connections and keeps the last one as long as it works.
pub(super) struct Link {
    target: ConnectionInfo,
    password_file: Option<PathBuf>,
    tls: TlsConfig,
    timeout: Duration,
    live: Mutex<Live>,
    /// Held while a connection is opened: there is one at a time.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Live {
    opened: u64,
    connection: Option<MultiplexedConnection>,
}

/// The connection, shared by all who purge: answers come in the order of what was sent, and those that nobody waits
/// for any more are dropped.
pub(super) struct Connection {
    number: Session,
    inner: MultiplexedConnection,
}

impl Connection {
    /// Which one it is.
    pub(super) fn number(&self) -> Session {
        self.number
    }
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.inner
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.inner
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.target.addr().to_string())
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(config: &RedisConfig) -> Self {
        Self {
            target: (*config.target.connection).clone(),
            password_file: config.password_file.clone(),
            tls: config.tls.clone(),
            timeout: config.timeout,
            live: Mutex::default(),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    /// The connection; opens one where there is none. To be told by [`Link::after`] what came of it.
    pub(super) async fn take(&self) -> Result<Connection, PurgeError> {
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        let silent =
            LinkError::Silent { address: self.target.addr().to_string(), timeout: self.timeout };
        let inner = tokio::time::timeout(self.timeout, self.connect())
            .await
            .unwrap_or_else(|_| Err(unavailable(silent)))?;
        let mut live = self.live.lock();
        live.opened += 1;
        live.connection = Some(inner.clone());
        Ok(Connection { number: Session(live.opened), inner })
    }

    /// The connection, if there is one.
    pub(super) fn live(&self) -> Option<Connection> {
        let live = self.live.lock();
        let inner = live.connection.clone()?;
        Some(Connection { number: Session(live.opened), inner })
    }

    /// What came of the use of a connection. One on which Redis was unavailable is closed, since a new one may lead
    /// to a server that is well, or to the new primary.
    pub(super) fn after<T>(
        &self,
        number: Session,
        outcome: Result<T, PurgeError>,
    ) -> Result<T, PurgeError> {
        if matches!(outcome, Err(PurgeError::Unavailable { .. })) {
            let mut live = self.live.lock();
            if Session(live.opened) == number {
                live.connection = None;
            }
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
        let client = match target.addr() {
            ConnectionAddr::TcpTls { .. } => {
                Client::build_with_tls(target, certificates(&self.tls).await?)
            }
            _ => Client::open(target),
        };
        client
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
    #[error("cannot read {what} {}", .file.display())]
    Unreadable { what: &'static str, file: PathBuf, source: io::Error },
}

/// Read anew for each connection, so that a changed password needs no restart.
async fn password(file: &Path) -> Result<String, PurgeError> {
    let bytes = read("password_file", file).await?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            Err(unreadable("password_file", file, source))
        }
    }
}

/// Read anew too: certificates are renewed.
async fn certificates(tls: &TlsConfig) -> Result<TlsCertificates, PurgeError> {
    let root_cert = match &tls.ca_file {
        Some(file) => Some(read("tls.ca_file", file).await?),
        None => None,
    };
    let client_tls = match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("tls.certificate_file", certificate).await?,
            client_key: read("tls.key_file", key).await?,
        }),
        _ => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

async fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, PurgeError> {
    let bytes = tokio::fs::read(file).await;
    bytes.map_err(|source| unreadable(what, file, source))
}

fn unreadable(what: &'static str, file: &Path, source: io::Error) -> PurgeError {
    unavailable(LinkError::Unreadable { what, file: file.to_owned(), source })
}
