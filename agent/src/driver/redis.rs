//! Redis: keys made from templates, removed by UNLINK.

mod config;
mod cursor;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod keyspace;
mod link;
mod server;
mod template;
mod work;

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, cmd, pipe};
use schemas::Abilities;
use uuid::Uuid;

pub use self::config::RedisConfig;
use self::cursor::CursorKey;
use self::fault::{Objection, failed, is_out_of_memory, never_refused, unavailable};
use self::keyspace::Keyspace;
use self::link::{Connection, Link};
use self::work::{Work, remove_members};
use super::{Batch, CursorShelf, Driver, Fetches, PurgeError, Session, Shelved, Surroundings};

/// How long a probe's key lives if nobody removes it.
const PROBE_MILLISECONDS: u64 = 10_000;

/// One standalone Redis, or the primary of several.
#[derive(Debug)]
pub struct Redis {
    keyspace: Keyspace,
    link: Link,
    cursor: CursorKey,
}

impl Redis {
    /// Does not connect yet.
    pub fn new(config: &RedisConfig, surroundings: &Surroundings) -> Self {
        let link = Link::new(config);
        let config = config.clone();
        Self {
            keyspace: Keyspace::new(
                config.templates,
                config.allow_raw_keys,
                &surroundings.sites,
                surroundings.region.clone(),
            ),
            link,
            cursor: CursorKey::new(surroundings),
        }
    }

    /// Stores and removes a key of its own, and does on keys that nobody has, for each template, what
    /// purging takes. A server that forbids any of it is found here, before it costs a selector.
    async fn try_out(&self, connection: &mut MultiplexedConnection) -> Result<(), PurgeError> {
        let name = format!("purgebus:probe:{}", Uuid::new_v4());
        let stored = match store(connection, &name).await {
            Ok(()) => true,
            // A full Redis can purge, and needs it most.
            Err(error) if is_out_of_memory(&error) => false,
            Err(error) => return Err(failed(error)),
        };
        let mut removal = pipe();
        removal.cmd("UNLINK").arg(&name);
        for (slot, head) in self.keyspace.sample_heads() {
            let key = format!("{head}{name}");
            if slot.holds_content() {
                removal.cmd("UNLINK").arg(key).ignore();
            } else {
                removal.cmd("SSCAN").arg(&key).arg(0).ignore();
                removal.add_command(remove_members(&key, &[&name])).ignore();
            }
        }
        removal.cmd("SCAN").arg(0).arg("COUNT").arg(1).ignore();
        self.cursor.try_out(&mut removal);
        let (removed,): (u32,) = removal.query_async(connection).await.map_err(failed)?;
        if stored && removed == 0 {
            return Err(unavailable(Objection::ProbeVanished));
        }
        Ok(())
    }
}

async fn store(connection: &mut MultiplexedConnection, name: &str) -> Result<(), RedisError> {
    let mut store = cmd("SET");
    store.arg(name).arg("").arg("PX").arg(PROBE_MILLISECONDS);
    store.exec_async(connection).await
}

#[async_trait]
impl Driver for Redis {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        let mut connection = self.link.take().await?;
        let outcome = async {
            let server = server::identify(&mut connection).await?;
            self.try_out(&mut connection).await?;
            Ok(self.keyspace.abilities(&server.words))
        };
        let outcome = outcome.await.map_err(never_refused);
        self.link.after(connection.number(), outcome)
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let work = Work::of(batch, &self.keyspace)?;
        let mut connection = self.link.take().await?;
        let outcome = work.carry_out(&self.keyspace, &mut connection).await;
        self.link.after(connection.number(), outcome.map(|()| Fetches::Unfenced))
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        let mut connection = self.link.take().await?;
        let outcome = self.try_out(&mut connection).await;
        self.link.after(connection.number(), outcome)
    }

    fn shelf(&self) -> Option<&dyn CursorShelf> {
        Some(self)
    }
}

#[async_trait]
impl CursorShelf for Redis {
    fn session(&self) -> Option<Session> {
        self.cursor.read_on().filter(|read_on| self.live_on(*read_on).is_some())
    }

    async fn read(&self) -> Result<Shelved, PurgeError> {
        let mut connection = self.link.take().await?;
        let session = connection.number();
        let outcome = self.cursor.read(session, &mut connection).await;
        self.link.after(session, outcome.map_err(never_refused))
    }

    async fn write(&self, session: Session, cursor: Bytes) -> Result<(), PurgeError> {
        let mut connection = self.live_on(session).ok_or_else(another_connection)?;
        match self.cursor.write(&cursor, &mut connection).await {
            // A full Redis keeps an older cursor, and is purged all the same.
            Err(cursor::WriteError::Full(error)) => Err(unavailable(error)),
            Err(cursor::WriteError::Other(error)) => {
                self.link.after(session, Err(never_refused(error)))
            }
            Ok(()) => Ok(()),
        }
    }

    async fn others(&self) -> Result<Vec<Bytes>, PurgeError> {
        let mut connection = self.link.take().await?;
        let outcome = self.cursor.others(&mut connection).await;
        self.link.after(connection.number(), outcome)
    }

    async fn look(&self, session: Session) -> Result<(), PurgeError> {
        let mut connection = self.live_on(session).ok_or_else(another_connection)?;
        let outcome = self.cursor.look(&mut connection).await;
        self.link.after(session, outcome.map_err(never_refused))
    }
}

impl Redis {
    fn live_on(&self, session: Session) -> Option<Connection> {
        self.link.live().filter(|connection| connection.number() == session)
    }
}

fn another_connection() -> PurgeError {
    unavailable(Objection::AnotherConnection)
}
