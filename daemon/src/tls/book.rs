//! The TLS of a port as it is now. Connections keep what they began with.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::config::TlsConfig;
use super::expiry::{EXPIRES_SOON, left};
use super::identity::{Identity, TlsMistakes};
use crate::Clock;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often it is said that a certificate expires soon.
const WARN_EVERY: Duration = Duration::from_hours(24);

/// The TLS of a port, to be replaced while it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsBook(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    config: TlsConfig,
    identity: Identity,
    /// The files as they were when they were last read, with success or without.
    files: Vec<Option<Stamp>>,
    warned: Instant,
}

/// What tells one content of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl TlsBook {
    /// Reads and checks the files. Blocks on the disk, for a moment.
    pub fn open(config: TlsConfig, clock: Clock) -> Result<Self, TlsMistakes> {
        let files = stamps(&config);
        let identity = Identity::load(&config, clock.now())?;
        let written = Written { config, identity, files, warned: Instant::now() };
        Ok(Self(Arc::new(Shared { clock, written: Mutex::new(written) })))
    }

    /// Reads these files in place of the former, for connections from now on; with a mistake nothing changes. Blocks on
    /// the disk, for a moment.
    pub fn replace(&self, config: TlsConfig) -> Result<(), TlsMistakes> {
        let files = stamps(&config);
        let identity = Identity::load(&config, self.0.clock.now())?;
        let mut written = self.0.written.lock();
        (written.config, written.identity, written.files) = (config, identity, files);
        Ok(())
    }

    /// When the certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.0.written.lock().identity.expires
    }

    /// What is not wrong, but should not stay so.
    pub fn warnings(&self) -> Vec<String> {
        let written = self.0.written.lock();
        let mut warnings: Vec<_> = self.expires_soon(&written).into_iter().collect();
        if written.identity.key_is_exposed {
            let file = written.config.key_file.display();
            warnings
                .push(format!("others than its owner can read the key in {file}; chmod 600 it"));
        }
        warnings
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.written.lock().identity.server)
    }

    /// Reads the files again whenever they change, for ever.
    pub(crate) async fn look_after(&self) -> std::convert::Infallible {
        loop {
            sleep(LOOK_EVERY).await;
            let book = self.clone();
            if let Err(error) = spawn_blocking(move || book.look()).await {
                error!(%error, "the files of TLS could not be looked at");
            }
        }
    }

    fn look(&self) {
        let (config, known) = {
            let written = self.0.written.lock();
            (written.config.clone(), written.files.clone())
        };
        let files = stamps(&config);
        if files != known {
            let read = Identity::load(&config, self.0.clock.now());
            let mut written = self.0.written.lock();
            if written.config == config {
                written.files = files;
                written.take(read);
            }
        }
        let mut written = self.0.written.lock();
        if written.warned.elapsed() >= WARN_EVERY
            && let Some(warning) = self.expires_soon(&written)
        {
            warn!("{warning}");
            written.warned = Instant::now();
        }
    }

    fn expires_soon(&self, written: &Written) -> Option<String> {
        let expires = written.identity.expires;
        (left(expires, self.0.clock.now()) < EXPIRES_SOON.as_secs_f64()).then(|| {
            let file = written.config.certificate_file.display();
            format!("the certificate in {file} expires at {expires}; renew it")
        })
    }
}

impl Written {
    fn take(&mut self, read: Result<Identity, TlsMistakes>) {
        let file = self.config.certificate_file.display();
        match read {
            Ok(identity) => {
                info!(%file, expires = %identity.expires, "new connections get a new certificate");
                self.identity = identity;
            }
            // Half of a pair, perhaps: the rest will change its stamp too.
            Err(mistakes) => warn!(%mistakes, "new connections get the former certificate"),
        }
    }
}

fn stamps(config: &TlsConfig) -> Vec<Option<Stamp>> {
    let TlsConfig { certificate_file, key_file, client_ca_file, .. } = config;
    let files: [Option<&PathBuf>; 3] =
        [Some(certificate_file), Some(key_file), client_ca_file.as_ref()];
    let stamp = |file: &PathBuf| {
        let it = file.metadata().ok()?;
        let changed = (it.mtime(), it.mtime_nsec());
        Some(Stamp { inode: it.ino(), bytes: it.size(), changed })
    };
    files.into_iter().flatten().map(stamp).collect()
}
