//! Opens the file of a journal, for this process alone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, Error, StorageError};

use super::JournalError;

/// The file in the journal's folder.
const FILE: &str = "journal.redb";

/// Memory that the store may use for pages.
const CACHE_BYTES: usize = 16 << 20;

/// The store of a journal, which the embedded log and the tracker share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalStore {
    pub(super) database: Arc<Database>,
    /// Where it lies, if not in memory.
    pub(super) folder: Option<PathBuf>,
}

impl JournalStore {
    /// Opens the store in `folder`, making both where they are missing. Blocks on the disk.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder).map_err(|error| JournalError::Open {
            path: folder.to_owned(),
            source: Arc::new(Error::Io(error)),
        })?;
        let path = folder.join(FILE);
        match Database::builder().set_cache_size(CACHE_BYTES).create(&path) {
            Ok(database) => {
                Ok(Self { database: Arc::new(database), folder: Some(folder.to_owned()) })
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(JournalError::InUse(path)),
            Err(error) => {
                let damaged = is_damage(&error);
                let source = Arc::new(error.into());
                Err(if damaged {
                    JournalError::Damaged { path, source }
                } else {
                    JournalError::Open { path, source }
                })
            }
        }
    }

    /// A store that is gone when its last clone is.
    pub fn in_memory() -> Result<Self, JournalError> {
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(|error| JournalError::Store(Arc::new(error.into())))?;
        Ok(Self { database: Arc::new(database), folder: None })
    }

    /// Where the embedded log may have its tables too.
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }
}

/// Whether the file is to blame, and not the system.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        _ => true,
    }
}
