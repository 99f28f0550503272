//! The file before the store: a commit is durable by one record in it and one sync. Then it may leave for the broker, and
//! goes into the store for everyone to read, which makes it durable only now and then.
//!
//! ```text
//! store:  ...=====|- - - - - - - -      = durable   - in the memory of this process
//! file:           [1][2][3][4]..........              since the store's last durable commit under a new name
//! ```
//!
//! The store keeps the name of the records that follow it. Each durable commit of the journal gives a new one, so that
//! whatever else lies in the file is void: of an earlier life, or of another copy of the store.

mod entry;
pub mod fuzzing;
mod records;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, Error, ReadableDatabase, TableError, WriteTransaction};
use tracing::info;
use uuid::Uuid;

use super::JournalError;
use super::file::Stall;
use super::replay::replay;
use super::table::AHEAD;

pub(super) use entry::{Entry, Kept};

/// The file in the journal's folder.
const FILE: &str = "journal.wal";
/// What does not fit in here is durable in the store, and the file begins anew.
const BYTES_MAX: u64 = 8 << 20;
/// The file grows by so much, in zeros: a sync of what is written over them has no more to do than that.
const STEP: u64 = 256 << 10;

/// Makes commits durable.
#[derive(Debug)]
pub(super) struct Ahead {
    file: File,
    stall: Stall,
    length: u64,
    /// Of the records that follow the store; none before the first durable commit of this life.
    name: Option<u128>,
    /// The number of the next record, and where it goes.
    next: u64,
    at: u64,
    buffer: Vec<u8>,
    /// Whether the store lacks what the last record says.
    owed: bool,
}

impl Ahead {
    /// Opens the file in `folder`, and does again what the store has lost of it.
    pub(super) fn open(
        folder: &Path,
        database: &Arc<Database>,
        stall: Stall,
    ) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let (file, kept) = open(folder, &path).map_err(|error| failed(&path, error))?;
        if let Some(name) = name(database)? {
            let entries = entries(&kept, name).map_err(|why| damaged(&path, why))?;
            let redone = replay(database, &entries).map_err(|error| told(&path, error))?;
            if redone > 0 {
                info!(redone, "took commits again that the journal's store had lost in a crash");
            }
        }
        let length = file.metadata().map_err(|error| failed(&path, error))?.len();
        Ok(Self {
            file,
            stall,
            length,
            name: None,
            next: 1,
            at: 0,
            buffer: Vec::new(),
            owed: false,
        })
    }

    /// Makes a commit durable, if a record can; answers whether it is. Then the store takes it next: where that fails,
    /// nothing is committed any more before the next start, which takes the record.
    pub(super) fn write(&mut self, entry: &Entry) -> Result<bool, Error> {
        self.unless_owed()?;
        let Some(name) = self.name else { return Ok(false) };
        self.owed = self.append(name, entry)?;
        Ok(self.owed)
    }

    /// Commits in the store, for everyone to read: durably, unless a record has made it so.
    pub(super) fn commit(
        &mut self,
        mut transaction: WriteTransaction,
        is_durable: bool,
    ) -> Result<(), Error> {
        if is_durable {
            transaction.set_durability(Durability::None)?;
            transaction.commit()?;
            self.owed = false;
            return Ok(());
        }
        self.unless_owed()?;
        // Whatever becomes of this commit, nothing follows a name that it may have taken away.
        self.name = None;
        let name = Uuid::new_v4().as_u128();
        transaction.open_table(AHEAD)?.insert((), name)?;
        transaction.commit()?;
        (self.name, self.next, self.at) = (Some(name), 1, 0);
        Ok(())
    }

    fn unless_owed(&self) -> Result<(), Error> {
        if self.owed { Err(Error::PreviousIo) } else { Ok(()) }
    }

    /// Whether something is durable in this file alone.
    pub(super) fn is_needed(&self) -> bool {
        self.at > 0
    }

    /// Writes a record, unless it does not fit.
    fn append(&mut self, name: u128, entry: &Entry) -> Result<bool, Error> {
        records::write(&mut self.buffer, name, self.next, |payload| entry.encode(payload));
        let end = self.at + self.buffer.len() as u64;
        if end > BYTES_MAX {
            return Ok(false);
        }
        // A record that fails may be there all the same: nothing may follow it.
        self.name = None;
        self.extend(end)?;
        self.stall.patiently(|| self.file.write_all_at(&self.buffer, self.at))?;
        self.file.sync_data()?;
        (self.name, self.next, self.at) = (Some(name), self.next + 1, end);
        Ok(true)
    }

    fn extend(&mut self, end: u64) -> io::Result<()> {
        if end > self.length {
            let length = end.next_multiple_of(STEP).min(BYTES_MAX);
            let zeros = vec![0; usize::try_from(length - self.length).unwrap_or(0)];
            self.stall.patiently(|| self.file.write_all_at(&zeros, self.length))?;
            self.length = length;
        }
        Ok(())
    }
}

/// The file, durably in its folder, and what it holds.
fn open(folder: &Path, path: &Path) -> io::Result<(File, Vec<u8>)> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    File::open(folder)?.sync_all()?;
    let mut kept = Vec::new();
    (&file).take(BYTES_MAX).read_to_end(&mut kept)?;
    Ok((file, kept))
}

/// What the records that follow the store go by.
fn name(database: &Database) -> Result<Option<u128>, JournalError> {
    let read = || match database.begin_read()?.open_table(AHEAD) {
        Ok(table) => Ok(table.get(())?.map(|row| row.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    Ok(read()?)
}

fn entries(kept: &[u8], name: u128) -> Result<Vec<Entry>, Error> {
    let payloads = records::read(kept, name)
        .map_err(|at| Error::Corrupted(format!("whole records follow what lies at byte {at}")))?;
    let entries = payloads.into_iter().map(Entry::decode).collect::<Option<_>>();
    entries.ok_or_else(|| Error::Corrupted("a record of another version".to_owned()))
}

fn failed(path: &Path, error: io::Error) -> JournalError {
    JournalError::Open { path: path.to_owned(), source: Arc::new(Error::Io(error)) }
}

fn damaged(path: &Path, why: Error) -> JournalError {
    JournalError::DamagedAhead { path: path.to_owned(), source: Arc::new(why) }
}

/// What does not fit to the store is no fault of that.
fn told(path: &Path, error: JournalError) -> JournalError {
    match error {
        JournalError::Store(source) if matches!(*source, Error::Corrupted(_)) => {
            JournalError::DamagedAhead { path: path.to_owned(), source }
        }
        other => other,
    }
}
