//! Model caches that keep the cursors of their lanes, and what may befall those.

use std::collections::{BTreeMap, BTreeSet};

use agent::driver::{Content, CursorShelf, PurgeError, Session, Shelved};
use async_trait::async_trait;
use bytes::Bytes;
use schemas::{Cursor, Priority, wire};

use super::Bench;
use super::cache::Model;

/// What a model cache keeps beside its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Vault {
    cursors: BTreeMap<Priority, Bytes>,
    /// Those of other agents.
    others: BTreeMap<Priority, Bytes>,
    server: u64,
    connection: u64,
    /// The lanes that have read on the connection that there is.
    read: BTreeSet<Priority>,
}

impl Vault {
    fn break_connection(&mut self) {
        self.connection += 1;
        self.read.clear();
    }

    fn session(&self, priority: Priority) -> Option<Session> {
        self.read.contains(&priority).then_some(Session(self.connection))
    }
}

fn another_connection() -> PurgeError {
    PurgeError::Unavailable { after: None, source: "another connection".into() }
}

#[async_trait]
impl CursorShelf for Model {
    fn session(&self) -> Option<Session> {
        self.vaults.lock()[&self.cache].session(self.priority)
    }

    async fn read(&self) -> Result<Shelved, PurgeError> {
        let mut vaults = self.vaults.lock();
        let vault = vaults.entry(self.cache.clone()).or_default();
        vault.read.insert(self.priority);
        let held = vault.cursors.get(&self.priority).cloned();
        Ok(Shelved {
            session: Session(vault.connection),
            server: Some(format!("server {}", vault.server)),
            content: held.map_or(Content::Absent, Content::Bytes),
        })
    }

    async fn write(&self, session: Session, cursor: Bytes) -> Result<(), PurgeError> {
        let mut vaults = self.vaults.lock();
        let vault = vaults.entry(self.cache.clone()).or_default();
        if vault.session(self.priority) != Some(session) {
            return Err(another_connection());
        }
        vault.cursors.insert(self.priority, cursor);
        Ok(())
    }

    async fn others(&self) -> Result<Vec<Bytes>, PurgeError> {
        let held = self.vaults.lock()[&self.cache].others.get(&self.priority).cloned();
        Ok(held.into_iter().collect())
    }

    async fn look(&self, session: Session) -> Result<(), PurgeError> {
        let now = self.vaults.lock()[&self.cache].session(self.priority);
        if now == Some(session) { Ok(()) } else { Err(another_connection()) }
    }
}

impl Bench {
    fn vault<T>(&self, cache: &str, act: impl FnOnce(&mut Vault) -> T) -> T {
        act(self.vaults.lock().get_mut(cache).expect("a cache that keeps cursors"))
    }

    /// The connections to a cache break; else it is as it was.
    pub(crate) fn disconnect(&self, cache: &str) {
        self.vault(cache, Vault::break_connection);
    }

    /// A cache loses the cursors that it keeps, and nothing else.
    pub(crate) fn evict_cursors(&self, cache: &str) {
        self.vault(cache, |vault| {
            vault.cursors.clear();
            vault.break_connection();
        });
    }

    /// A cache starts again without anything.
    pub(crate) fn lose_all(&self, cache: &str) {
        self.evict_cursors(cache);
        self.vault(cache, |vault| vault.server += 1);
    }

    /// What a cache keeps of a lane.
    pub(crate) fn kept(&self, cache: &str, priority: Priority) -> Option<Cursor> {
        let bytes = self.vault(cache, |vault| vault.cursors.get(&priority).cloned())?;
        Some(wire::decode_cursor(&bytes).expect("a cursor"))
    }

    /// A cache starts again as it was when it kept these.
    pub(crate) fn restore(&self, cache: &str, cursors: &[(Priority, Cursor)]) {
        self.lose_all(cache);
        self.vault(cache, |vault| vault.cursors = encoded(cursors));
    }

    /// So another agent has left a cache that it shares.
    pub(crate) fn share(&self, cache: &str, cursors: &[(Priority, Cursor)]) {
        self.vault(cache, |vault| vault.others = encoded(cursors));
    }
}

fn encoded(cursors: &[(Priority, Cursor)]) -> BTreeMap<Priority, Bytes> {
    cursors.iter().map(|(priority, cursor)| (*priority, wire::encode_cursor(cursor))).collect()
}
