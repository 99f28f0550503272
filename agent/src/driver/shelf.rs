//! The cursor inside the cache that it describes: what a cache loses, its cursor loses with it.
//!
//! ```text
//! read --> Shelved (what it holds, and which server it is) --> purges --> write, on the same connection
//!  ^                                                             |
//!  +------------------- a new connection, or another's cursor ---+
//! ```

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::PurgeError;

/// One connection to a cache; another one has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session(pub u64);

/// What the cache holds of a cursor. Anybody may have written it: decode it as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Absent,
    /// These bytes.
    Bytes(Bytes),
    /// Something that cannot be a cursor, and why.
    Unreadable(String),
}

/// What was read on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// Which connection that was.
    pub session: Session,
    /// The server's identity: as long as it stays the same, nothing that was done there can have been undone by a
    /// restart, a failover or a restored copy. `None` where the server does not tell.
    pub server: Option<String>,
    /// What it holds.
    pub content: Content,
}

/// Keeps one lane's cursor inside its cache.
///
/// A lane reads it before its first purge and on every new connection, counts only what was purged on a connection
/// on which it has read it, and writes it only there.
#[async_trait]
pub trait CursorShelf: Debug + Send + Sync {
    /// The connection over which purges go, if the cursor was read on it.
    fn session(&self) -> Option<Session>;

    /// Reads the cursor, on the connection on which purges go from now on.
    async fn read(&self) -> Result<Shelved, PurgeError>;

    /// Replaces what was last read or written on `session`. Fails where another connection has taken its place, or
    /// where something else is held there by now; then [`CursorShelf::session`] is none.
    async fn write(&self, session: Session, cursor: Bytes) -> Result<(), PurgeError>;

    /// What the cache holds of the cursors of other lanes of this priority, of any agent; not of too many, nor too large
    /// ones. Anybody may have written them.
    async fn others(&self) -> Result<Vec<Bytes>, PurgeError>;

    /// Looks whether `session` still leads to what was last read or written there; else
    /// [`CursorShelf::session`] is none.
    async fn look(&self, session: Session) -> Result<(), PurgeError>;
}
