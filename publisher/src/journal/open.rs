//! Opens the file of a journal, for this process alone. Unless it is as a process left it that ended in order, all of it
//! is read: a page that is damaged is found now, and not when it is needed.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, DatabaseError, Error, ReadOnlyDatabase, StorageError};
use tracing::info;

use super::JournalError;
use super::ahead::Ahead;
use super::disk::Disk;
use super::file::{PatientFile, Stall};
use super::seal::Seal;

/// The file in the journal's folder.
const FILE: &str = "journal.redb";

/// Memory that the store may use for pages.
const CACHE_BYTES: usize = 16 << 20;

/// The store of a journal, which the embedded log and the tracker share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalStore {
    pub(super) database: Arc<Database>,
    pub(super) disk: Arc<Disk>,
    /// Where each commit is durable first; none of a journal in memory.
    pub(super) ahead: Option<Arc<Mutex<Ahead>>>,
    seal: Option<Arc<Seal>>,
}

impl JournalStore {
    /// Opens the store in `folder`, making both where they are missing. Blocks on the disk, for as long as it takes
    /// to read the file where that is not as it was left in order.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let failed =
            |error| JournalError::Open { path: path.clone(), source: Arc::new(Error::Io(error)) };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let (file, stall) = (file.map_err(failed)?, Stall::none());
        let new = file.metadata().map_err(failed)?.len() == 0;
        let (seal, unbroken) = Seal::take(folder, &file).map_err(failed)?;
        let seal = Arc::new(seal);
        let open = || {
            let file = FileBackend::new(file)?;
            let file = PatientFile::new(file, stall.clone(), Some(seal.clone()));
            let mut database =
                Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(file)?;
            if !unbroken && !new {
                info!(
                    "the journal was not closed in order, or was touched since: reading all of it"
                );
                database.check_integrity()?;
            }
            Ok(database)
        };
        // What is read may be anything; the store means to refuse it with an error, and a panic of it is one too.
        let opened = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
            Err(StorageError::Corrupted("the store panicked at it".to_owned()).into())
        });
        match opened {
            Ok(database) => {
                let database = Arc::new(database);
                let ahead = Ahead::open(folder, &database, stall.clone())?;
                let disk = Arc::new(Disk::of(folder.to_owned(), stall));
                let ahead = Some(Arc::new(Mutex::new(ahead)));
                Ok(Self { database, disk, ahead, seal: Some(seal) })
            }
            Err(error) => Err(refusal(path, error)),
        }
    }

    /// A store that is gone when its last clone is.
    pub fn in_memory() -> Result<Self, JournalError> {
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(|error| JournalError::Store(Arc::new(error.into())))?;
        let (database, disk) = (Arc::new(database), Arc::new(Disk::boundless()));
        Ok(Self { database, disk, ahead: None, seal: None })
    }

    /// Whoever used it has ended without an error: once its last clone is gone, the next start need not read all of it.
    pub fn end_in_order(&self) {
        if let Some(seal) = &self.seal {
            seal.sound();
        }
    }

    /// Reads what lies in the store of that folder, if nobody uses it and it was closed in order. Blocks on the disk.
    pub(crate) fn look<T>(folder: &Path, read: impl FnOnce(&ReadOnlyDatabase) -> T) -> Option<T> {
        let path = folder.join(FILE);
        let look = || ReadOnlyDatabase::open(path).ok().map(|database| read(&database));
        catch_unwind(AssertUnwindSafe(look)).ok().flatten()
    }

    /// Whether its disk has room for another commit.
    pub(crate) fn has_room(&self) -> bool {
        self.disk.has_room()
    }

    /// Where the embedded log may have its tables too.
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }
}

fn refusal(path: PathBuf, error: DatabaseError) -> JournalError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return JournalError::InUse(path);
    }
    let damaged = is_damage(&error);
    let source = Arc::new(error.into());
    if damaged {
        JournalError::Damaged { path, source }
    } else {
        JournalError::Open { path, source }
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
