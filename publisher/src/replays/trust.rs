//! Whose words are published again: a replay signs them, so that none may be a stranger's.

use std::path::{Path, PathBuf};

use schemas::{KeyError, SigningKey, Trust, TrustedKeys};

use crate::config::PublisherConfig;
use crate::outlet::Outlet;

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} is not such a file", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
}

/// Whom a publisher believes: the keys that it is told of, else its own alone. Where it signs nothing, anyone; and a
/// log of its own holds nothing of others. Blocks on the disk.
pub(crate) fn trust(config: &PublisherConfig, outlet: &Outlet) -> Result<Trust, TrustError> {
    if matches!(outlet, Outlet::Shared(_)) {
        return Ok(Trust::Anyone);
    }
    match (&config.trusted_keys_file, &config.signing_key_file) {
        (Some(path), _) => keys(path, &read(path)?).map(Trust::Keys),
        (None, Some(path)) => {
            let key = SigningKey::from_pem(&read(path)?);
            let key = key.map_err(|source| TrustError::Key { path: path.clone(), source })?;
            keys(path, &key.public().to_string()).map(Trust::Keys)
        }
        (None, None) => Ok(Trust::Anyone),
    }
}

fn read(path: &Path) -> Result<String, TrustError> {
    std::fs::read_to_string(path)
        .map_err(|source| TrustError::Read { path: path.to_owned(), source })
}

fn keys(path: &Path, text: &str) -> Result<TrustedKeys, TrustError> {
    text.parse().map_err(|source| TrustError::Key { path: path.to_owned(), source })
}
