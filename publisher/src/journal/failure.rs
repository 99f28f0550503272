//! Why a journal could not be opened, or stopped working.

use std::path::PathBuf;
use std::sync::Arc;

use broker_adapter::BrokerError;

/// A journal that cannot be used. Restarting the process is safe, and needed once it ran.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Two processes on one journal would give one number twice.
    #[error("another process uses the journal {}; give each publisher a folder of its own", .0.display())]
    InUse(PathBuf),
    /// The file is not what a journal is.
    #[error(
        "the journal {} is damaged or of another version; restore it from a backup, or move it away to begin anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the store said.
        #[source]
        source: Arc<redb::Error>,
    },
    /// The file before the store has lost something in its middle.
    #[error(
        "what the journal accepted last, {}, is damaged; restore the journal's folder from a backup, or move this file \
         away to go on without what it holds",
        path.display()
    )]
    DamagedAhead {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Arc<redb::Error>,
    },
    /// The folder cannot be made or the file cannot be opened.
    #[error("cannot open the journal {}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<redb::Error>,
    },
    /// The store failed while in use.
    #[error("the journal's store failed")]
    Store(#[source] Arc<redb::Error>),
    /// The log that shares the journal's store failed.
    #[error("the log in the journal's store failed")]
    Log(#[source] Arc<BrokerError>),
}

impl From<redb::Error> for JournalError {
    fn from(error: redb::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<BrokerError> for JournalError {
    fn from(error: BrokerError) -> Self {
        Self::Log(Arc::new(error))
    }
}
