//! The table of replays, in the journal's database.
//!
//! ```text
//! replays  id -> (the replay as the API tells it, in JSON; its cursor)
//! ```

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use schemas::api::Replay;
use uuid::Uuid;

use super::walk::Cursor;
use crate::blocking::blocking;

const REPLAYS: TableDefinition<u128, (&'static [u8], &'static [u8])> =
    TableDefinition::new("replays");

/// Why the replays could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk or the database.
    #[error("the table of replays failed")]
    Database(#[source] Box<redb::Error>),
    /// A row that this build does not understand.
    #[error("the table of replays holds a damaged row")]
    Damaged,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// A change of the table.
#[derive(Debug)]
pub(super) enum Change {
    /// It stands so.
    Put(Box<Replay>, Cursor),
    /// It is forgotten.
    Remove(Uuid),
}

/// When a change is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// When it returns.
    Now,
    /// With whatever is next: the journal and the tracker write each second.
    Soon,
}

/// Where replays are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Store(Arc<Database>);

impl Store {
    /// Everything that is kept, and where that is. Blocks on the disk.
    pub(super) fn open(
        database: Arc<Database>,
    ) -> Result<(Self, Vec<(Replay, Cursor)>), StoreError> {
        let mut write = database.begin_write()?;
        write.set_quick_repair(true);
        write.open_table(REPLAYS)?;
        write.commit()?;
        let mut kept = Vec::new();
        for row in database.begin_read()?.open_table(REPLAYS)?.iter()? {
            let (_, row) = row?;
            let (replay, cursor) = row.value();
            let replay = serde_json::from_slice(replay).map_err(|_| StoreError::Damaged)?;
            kept.push((replay, Cursor::from_bytes(cursor).ok_or(StoreError::Damaged)?));
        }
        Ok((Self(database), kept))
    }

    /// Makes these changes, all or none.
    pub(super) async fn change(
        &self,
        changes: Vec<Change>,
        durable: Durable,
    ) -> Result<(), StoreError> {
        let database = Arc::clone(&self.0);
        blocking(move || save(&database, &changes, durable)).await
    }
}

fn save(database: &Database, changes: &[Change], durable: Durable) -> Result<(), StoreError> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    if durable == Durable::Soon {
        write.set_durability(Durability::None)?;
    }
    let mut replays = write.open_table(REPLAYS)?;
    for change in changes {
        match change {
            Change::Put(replay, cursor) => {
                let told = serde_json::to_vec(replay).expect("a replay is plain JSON");
                let cursor = cursor.to_bytes();
                replays.insert(replay.id.as_u128(), (told.as_slice(), cursor.as_slice()))?;
            }
            Change::Remove(id) => drop(replays.remove(id.as_u128())?),
        }
    }
    drop(replays);
    write.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::samples::{replay, replay_filter};

    #[tokio::test]
    async fn what_is_put_comes_back_as_it_was_last_and_what_is_removed_does_not() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let database = Arc::new(database);
        let (store, kept) = Store::open(Arc::clone(&database)).unwrap();
        assert_eq!(kept, []);
        let filter = replay_filter(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let stood = |id, published| Replay { published, ..replay(id, filter.clone()) };
        let put = |id, published| Change::Put(Box::new(stood(id, published)), Cursor::default());
        store.change(vec![put(1, 10), put(2, 20), put(3, 30)], Durable::Now).await.unwrap();
        let remove = Change::Remove(Uuid::from_u128(1));
        store.change(vec![put(2, 21), remove], Durable::Soon).await.unwrap();
        let (_, kept) = Store::open(database).unwrap();
        let expected = [stood(2, 21), stood(3, 30)].map(|replay| (replay, Cursor::default()));
        assert_eq!(kept, expected);
    }
}
