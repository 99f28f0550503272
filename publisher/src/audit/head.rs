//! Where a trail ends, as it is known beside its lines: in a file of its folder, and in the journal's store. So an end
//! that is cut off is seen.
//!
//! ```text
//! audit.head    () -> (installation, number of the newest line, its hash)
//! audit.tokens  () -> what is known of the tokens, as JSON
//! ```

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::line::{Hash, Link};
use super::tokens::KnownTokens;

/// Its file in the folder.
pub(crate) const FILE: &str = "head.json";
const HEAD: TableDefinition<(), (u128, u64, [u8; 32])> = TableDefinition::new("audit.head");
const TOKENS: TableDefinition<(), &'static [u8]> = TableDefinition::new("audit.tokens");

/// Where a trail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whose trail it is.
    pub(crate) installation: Uuid,
    /// Its newest line.
    pub(crate) newest: Link,
}

/// A head as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    installation: Uuid,
    seq: u64,
    hash: String,
}

impl Head {
    /// The one beside the files; `InvalidData` where it is none. Blocks on the disk.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let written: Written = serde_json::from_slice(&text)?;
        let hash = Hash::from_hex(written.hash.as_bytes()).ok_or(ErrorKind::InvalidData)?;
        let newest = Link { sequence: written.seq, hash };
        Ok(Some(Self { installation: written.installation, newest }))
    }

    /// Puts it beside the files, whole or not at all. Blocks on the disk.
    pub(crate) fn write(self, folder: &Path) -> io::Result<()> {
        let Self { installation, newest } = self;
        let hash = newest.hash.to_string();
        let text = serde_json::to_vec(&Written { installation, seq: newest.sequence, hash })?;
        let new = folder.join("head.json.new");
        fs::write(&new, text)?;
        fs::rename(new, folder.join(FILE))
    }
}

/// What the journal's store knows of the trail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) head: Option<Head>,
    pub(crate) tokens: Option<KnownTokens>,
}

impl Kept {
    /// Blocks on the disk.
    pub(crate) fn load(database: &impl ReadableDatabase) -> Result<Self, redb::Error> {
        let read = database.begin_read()?;
        let head = match read.open_table(HEAD) {
            Ok(table) => table.get(())?.map(|row| {
                let (installation, sequence, hash) = row.value();
                let newest = Link { sequence, hash: Hash(hash) };
                Head { installation: Uuid::from_u128(installation), newest }
            }),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let tokens = match read.open_table(TOKENS) {
            // What an older or newer build wrote is as good as nothing: then they are all new.
            Ok(table) => table.get(())?.and_then(|row| serde_json::from_slice(row.value()).ok()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { head, tokens })
    }

    /// On the disk when it returns. Blocks on it.
    pub(crate) fn save(&self, database: &Database) -> Result<(), redb::Error> {
        let mut write = database.begin_write()?;
        write.set_quick_repair(true);
        if let Some(Head { installation, newest }) = self.head {
            let row = (installation.as_u128(), newest.sequence, newest.hash.0);
            write.open_table(HEAD)?.insert((), row)?;
        }
        if let Some(tokens) = &self.tokens {
            let text = serde_json::to_vec(tokens).unwrap_or_default();
            write.open_table(TOKENS)?.insert((), text.as_slice())?;
        }
        write.commit()?;
        Ok(())
    }
}
