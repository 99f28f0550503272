//! A bare store: what an embedded log is measured against.

use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, TableDefinition};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{Look, Reading};

const BODIES: TableDefinition<u64, &[u8]> = TableDefinition::new("bodies");
/// Messages of one transaction, as nobody shall hold one for long.
const TRANSACTION: usize = 1_000;

/// Numbered messages in redb.
#[derive(Debug)]
pub(crate) struct Store {
    database: Arc<Database>,
    _folder: TempDir,
}

impl Store {
    /// Of these.
    pub(crate) fn of(bodies: impl Iterator<Item = Bytes>) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let database = Database::create(folder.path().join("baseline.redb"))?;
        let transaction = database.begin_write()?;
        let mut kept = transaction.open_table(BODIES)?;
        for (number, body) in (0..).zip(bodies) {
            kept.insert(number, body.as_ref())?;
        }
        drop(kept);
        transaction.commit()?;
        Ok(Self { database: Arc::new(database), _folder: folder })
    }

    /// Reads all of them, and looks at each.
    pub(crate) async fn read(&self, look: Look) -> anyhow::Result<Reading> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let mut next = 0;
            loop {
                let bodies = database.begin_read()?.open_table(BODIES)?;
                let before = next;
                for row in bodies.range(next..)?.take(TRANSACTION) {
                    let (number, body) = row?;
                    look(body.value())?;
                    next = number.value() + 1;
                }
                if next == before {
                    return Ok(Reading { messages: next, took: began.elapsed() });
                }
            }
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::super::counted;
    use super::*;

    #[tokio::test]
    async fn every_message_is_read_once() {
        let count = 2 * TRANSACTION + 1;
        let store = Store::of((0..count).map(|_| Bytes::from_static(b"x"))).expect("a store");
        let reading = store.read(counted).await.expect("all of it");
        assert_eq!(usize::try_from(reading.messages), Ok(count));
    }
}
