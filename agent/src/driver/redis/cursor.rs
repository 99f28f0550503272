//! The cursor inside Redis: one key per agent, cache and priority, replaced only where it holds what was last seen.
//!
//! ```text
//! purgebus:cursor:AGENT:CACHE:PRIORITY  =  token (16 bytes, new with every store), cursor (as on the wire)
//! ```
//!
//! The token tells the own last store from any other: Redis compares 16 bytes, not the cursor.

use std::collections::BTreeSet;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, cmd};
use schemas::wire;
use uuid::Uuid;

use super::fault::{Objection, failed, is_out_of_memory, unavailable};
use super::server;
use crate::driver::{Content, PurgeError, Session, Shelved, Surroundings};

/// No key that begins so is content of any site.
pub(super) const RESERVED: &str = "purgebus:cursor:";
/// What precedes a cursor.
const TOKEN_BYTES: usize = 16;
/// Largest value that is read: a token, the largest body, and its envelope.
const VALUE_BYTES_MAX: usize = TOKEN_BYTES + wire::BODY_BYTES_MAX + 1024;

/// Most cursors of others that are read, and the longest of them.
const OTHERS_MAX: usize = 32;
const OTHER_BYTES_MAX: usize = 1024 * 1024;
/// Keys of one step of the search for them.
const SCAN_COUNT: usize = 500;

/// Stores `ARGV[2]` where the token is `ARGV[1]`, or nothing where that is empty.
const REPLACE: &str = "if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2]) return 1";

/// Why a cursor was not stored.
pub(super) enum WriteError {
    /// There is no memory left for it.
    Full(RedisError),
    /// Anything else.
    Other(PurgeError),
}

/// What was last seen of the key.
#[derive(Debug, Default)]
struct Seen {
    on: Option<Session>,
    token: Vec<u8>,
}

/// The key of one lane's cursor.
#[derive(Debug)]
pub(super) struct CursorKey {
    name: String,
    /// The pattern of all of its priority.
    kin: String,
    seen: Mutex<Seen>,
    /// Held from a command to its answer, so that what was seen is compared with what was seen before.
    turn: tokio::sync::Mutex<()>,
}

impl CursorKey {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        let Surroundings { agent, cache, priority, .. } = surroundings;
        Self {
            name: format!("{RESERVED}{agent}:{cache}:{priority}"),
            kin: format!("{RESERVED}*:{priority}"),
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The connection on which it was read.
    pub(super) fn read_on(&self) -> Option<Session> {
        self.seen.lock().on
    }

    /// Adds to a probe what keeping the cursor takes; changes nothing.
    pub(super) fn try_out(&self, probe: &mut Pipeline) {
        probe.add_command(self.range(0, 0)).ignore();
        let nobodys = Uuid::new_v4();
        probe.add_command(self.replace(nobodys.as_bytes(), &[])).ignore();
    }

    /// What the key holds, and which server says so.
    pub(super) async fn read(
        &self,
        session: Session,
        connection: &mut MultiplexedConnection,
    ) -> Result<Shelved, PurgeError> {
        let _turn = self.turn.lock().await;
        let server = server::identify(connection).await?.identity;
        let (token, content) = match self.value(connection).await {
            Ok(value) => split(value),
            Err(error) if is_wrong_type(&error) => {
                cmd("UNLINK").arg(&self.name).exec_async(connection).await.map_err(failed)?;
                (Vec::new(), Content::Unreadable(format!("{} was no string", self.name)))
            }
            Err(error) => return Err(failed(error)),
        };
        *self.seen.lock() = Seen { on: Some(session), token };
        Ok(Shelved { session, server, content })
    }

    /// Replaces what was last seen.
    pub(super) async fn write(
        &self,
        cursor: &Bytes,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), WriteError> {
        let _turn = self.turn.lock().await;
        let (before, token) = (self.seen.lock().token.clone(), Uuid::new_v4());
        let value = [token.as_bytes(), &cursor[..]].concat();
        let replaced = self.replace(&before, &value).query_async::<bool>(connection).await;
        match replaced {
            Ok(true) => {
                self.seen.lock().token = token.as_bytes().to_vec();
                Ok(())
            }
            Ok(false) => Err(WriteError::Other(self.another_cursor())),
            Err(error) if is_out_of_memory(&error) => Err(WriteError::Full(error)),
            Err(error) => Err(WriteError::Other(failed(error))),
        }
    }

    /// Whether the key still holds what was last seen.
    pub(super) async fn look(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), PurgeError> {
        let _turn = self.turn.lock().await;
        let held: Vec<u8> =
            self.range(0, TOKEN_BYTES - 1).query_async(connection).await.map_err(failed)?;
        if held == self.seen.lock().token { Ok(()) } else { Err(self.another_cursor()) }
    }

    /// The cursors of other lanes of its priority.
    pub(super) async fn others(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Vec<Bytes>, PurgeError> {
        let (mut names, mut cursor) = (BTreeSet::new(), 0);
        loop {
            let mut step = cmd("SCAN");
            step.arg(cursor).arg("MATCH").arg(&self.kin).arg("COUNT").arg(SCAN_COUNT);
            let (next, found): (u64, Vec<Vec<u8>>) =
                step.query_async(connection).await.map_err(failed)?;
            names.extend(found.into_iter().filter(|name| *name != self.name.as_bytes()));
            cursor = next;
            if cursor == 0 || names.len() >= OTHERS_MAX {
                break;
            }
        }
        let mut others = Vec::new();
        for name in names.into_iter().take(OTHERS_MAX) {
            let mut range = cmd("GETRANGE");
            range.arg(name).arg(0).arg(TOKEN_BYTES + OTHER_BYTES_MAX);
            match range.query_async(connection).await.map(split) {
                Ok((_, Content::Bytes(bytes))) if bytes.len() <= OTHER_BYTES_MAX => {
                    others.push(bytes);
                }
                Ok(_) => {}
                Err(error) if is_wrong_type(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(others)
    }

    async fn value(&self, connection: &mut MultiplexedConnection) -> Result<Vec<u8>, RedisError> {
        self.range(0, VALUE_BYTES_MAX).query_async(connection).await
    }

    fn range(&self, first: usize, last: usize) -> Cmd {
        let mut range = cmd("GETRANGE");
        range.arg(&self.name).arg(first).arg(last);
        range
    }

    fn replace(&self, before: &[u8], value: &[u8]) -> Cmd {
        let mut replace = cmd("EVAL");
        replace.arg(REPLACE).arg(1).arg(&self.name).arg(before).arg(value);
        replace
    }

    fn another_cursor(&self) -> PurgeError {
        unavailable(Objection::AnotherCursor { key: self.name.clone() })
    }
}

/// The token, or what stands in its place, and the cursor.
pub(super) fn split(value: Vec<u8>) -> (Vec<u8>, Content) {
    let token = value[..value.len().min(TOKEN_BYTES)].to_vec();
    let content = match value.len() {
        0 => Content::Absent,
        length if length > VALUE_BYTES_MAX => {
            Content::Unreadable(format!("it is longer than {VALUE_BYTES_MAX} bytes"))
        }
        _ => Content::Bytes(Bytes::from(value).slice(token.len()..)),
    };
    (token, content)
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_a_token_and_the_rest() {
        for (length, token, rest) in [(1, 1, Some(0)), (16, 16, Some(0)), (20, 16, Some(4))] {
            let (held, content) = split(vec![7; length]);
            let Content::Bytes(bytes) = content else { panic!("{content:?}") };
            assert_eq!((held.len(), Some(bytes.len())), (token, rest));
        }
        assert_eq!(split(Vec::new()), (Vec::new(), Content::Absent));
        let (held, content) = split(vec![7; VALUE_BYTES_MAX + 1]);
        assert!(held.len() == TOKEN_BYTES && matches!(content, Content::Unreadable(_)));
    }
}
