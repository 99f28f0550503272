//! Opens the file of a journal, for this process alone.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, DatabaseError, Error, StorageError};

use super::JournalError;

/// The file in the journal's folder.
const FILE: &str = "journal.redb";

/// Memory that the store may use for pages.
const CACHE_BYTES: usize = 32 << 20;

/// Opens the journal in `folder`, making both where they are missing. The embedded log and the tracker may share
/// the database. Blocks on the disk.
pub fn open_journal(folder: &Path) -> Result<Arc<Database>, JournalError> {
    std::fs::create_dir_all(folder).map_err(|error| JournalError::Open {
        path: folder.to_owned(),
        source: Arc::new(Error::Io(error)),
    })?;
    let path = folder.join(FILE);
    match Database::builder().set_cache_size(CACHE_BYTES).create(&path) {
        Ok(database) => Ok(Arc::new(database)),
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

/// Whether the file is to blame, and not the system.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        _ => true,
    }
}
