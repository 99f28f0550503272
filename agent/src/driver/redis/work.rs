//! What a batch comes down to, and how it is done: UNLINK, and bounded scans of sets and sites.
//!
//! Never KEYS, never FLUSHDB, never a pattern from input. No single command holds Redis for long.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, ToRedisArgs, cmd, pipe};
use schemas::{Selector, SiteName};

use super::fault::{Objection, failed};
use super::keyspace::{Keyspace, Swept};
use super::template::Slot;
use crate::driver::{Batch, PurgeError, Refused};

/// Most keys of one UNLINK, and roughly of one step of a scan.
const KEYS_MAX: usize = 500;
/// A command is closed when its keys have this many bytes.
const KEY_BYTES_MAX: usize = 64 * 1024;
/// How much of a member an error shows.
const MEMBER_BYTES_SHOWN: usize = 200;

/// What to remove.
#[derive(Debug, Default)]
pub(super) struct Work {
    keys: Vec<String>,
    /// Sets whose members go, and the site that owns the members.
    sets: Vec<(SiteName, String)>,
    /// Sites of which so much content goes.
    sites: Vec<(SiteName, Swept)>,
}

impl Work {
    pub(super) fn of(batch: &Batch, keyspace: &Keyspace) -> Result<Self, PurgeError> {
        let mut work = Self::default();
        for purge in &batch.purges {
            let (site, selector) = (&purge.site, &purge.selector);
            let swept = match &purge.part {
                Some(template) => keyspace.named(template),
                None => Some(Swept::All),
            };
            if let Some(swept) = swept
                && *selector == Selector::Everything
                && keyspace.can_be_swept(site)
            {
                work.sites.push((site.clone(), swept));
                continue;
            }
            let keys = keyspace.keys(site, selector);
            if keys.is_empty() {
                let (site, selector) = (site.clone(), selector.clone());
                let objection = Objection::NoKey { site, selector };
                return Err(PurgeError::Refused(Refused::new(objection)));
            }
            for (slot, key) in keys {
                match slot {
                    Slot::TagSet => work.sets.push((site.clone(), key)),
                    Slot::Url | Slot::Tag | Slot::Key => work.keys.push(key),
                }
            }
        }
        Ok(work)
    }

    /// Returns only when every reply was read and none was an error.
    pub(super) async fn carry_out(
        &self,
        keyspace: &Keyspace,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), PurgeError> {
        unlink(connection, &self.keys).await.map_err(failed)?;
        for (site, set) in &self.sets {
            empty(keyspace, site, set, connection).await?;
        }
        for (site, swept) in &self.sites {
            sweep(keyspace, site, *swept, connection).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Removes keys and their names in a tag set at once: `KEYS` is the set, then its members.
///
/// A script, since a full Redis takes no transactions. Were the whole set removed, a page stored
/// meanwhile would lose its tag and could not be purged by it again; were a name removed before its
/// key, a crash in between would leave a stale page that no repetition finds.
const REMOVE_MEMBERS: &str =
    "redis.call('UNLINK', unpack(KEYS, 2)) redis.call('SREM', KEYS[1], unpack(KEYS, 2))";

/// The command that removes `members` and their names in `set`.
pub(super) fn remove_members<K: ToRedisArgs>(set: &str, members: &[K]) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(REMOVE_MEMBERS).arg(1 + members.len()).arg(set).arg(members);
    script
}

/// Removes the content that a tag set names, and its members with it; an empty set is gone by itself.
async fn empty(
    keyspace: &Keyspace,
    site: &SiteName,
    set: &str,
    connection: &mut MultiplexedConnection,
) -> Result<(), PurgeError> {
    let mut foreign = None;
    let mut cursor = 0;
    loop {
        let step = cmd("SSCAN").arg(set).arg(cursor).arg("COUNT").arg(KEYS_MAX).to_owned();
        let (next, members): (u64, Vec<Vec<u8>>) =
            step.query_async(connection).await.map_err(failed)?;
        let (content, others): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| keyspace.is_content(site, member));
        foreign = foreign.or(others.into_iter().next());
        for chunk in chunks(&content) {
            remove_members(set, chunk).exec_async(connection).await.map_err(failed)?;
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    match foreign {
        None => Ok(()),
        // Stale content may be left; to say nothing would be to claim that it is gone.
        Some(member) => {
            let (set, member, site) = (set.to_owned(), shown(&member), site.clone());
            let objection = Objection::ForeignMember { set, member, site };
            Err(PurgeError::Refused(Refused::new(objection)))
        }
    }
}

/// The beginning of what somebody else wrote, at a length fit for reports.
fn shown(member: &[u8]) -> String {
    String::from_utf8_lossy(&member[..member.len().min(MEMBER_BYTES_SHOWN)]).into_owned()
}

/// Removes so much content of a site: one pass over the key space per template, in steps between which
/// Redis serves others. Tag sets stay: a page stored meanwhile may have just been entered in one.
async fn sweep(
    keyspace: &Keyspace,
    site: &SiteName,
    swept: Swept,
    connection: &mut MultiplexedConnection,
) -> Result<(), RedisError> {
    for pattern in keyspace.patterns(site, swept) {
        let mut cursor = 0;
        loop {
            let mut step = cmd("SCAN");
            step.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(KEYS_MAX);
            let (next, mut keys): (u64, Vec<Vec<u8>>) = step.query_async(connection).await?;
            keys.retain(|key| keyspace.is_swept(site, swept, key));
            unlink(connection, &keys).await?;
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(())
}

async fn unlink<K>(connection: &mut MultiplexedConnection, keys: &[K]) -> Result<(), RedisError>
where
    K: AsRef<[u8]> + ToRedisArgs,
{
    if keys.is_empty() {
        return Ok(());
    }
    let mut commands = pipe();
    for chunk in chunks(keys) {
        commands.cmd("UNLINK").arg(chunk).ignore();
    }
    commands.exec_async(connection).await
}

/// Pieces of at most `KEYS_MAX` keys, each closed once it has `KEY_BYTES_MAX` bytes.
fn chunks<K: AsRef<[u8]>>(keys: &[K]) -> impl Iterator<Item = &[K]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |key: &&K| {
            let open = bytes < KEY_BYTES_MAX;
            bytes += key.as_ref().len();
            open
        };
        let length = rest.iter().take(KEYS_MAX).take_while(fits).count();
        let (chunk, behind) = rest.split_at(length);
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_bounded_in_keys_and_bytes_and_lose_none() {
        let keys: Vec<String> = (0..1_200).map(|at| format!("{at}{}", "k".repeat(at))).collect();
        let chunks: Vec<_> = chunks(&keys).collect();
        assert_eq!(chunks.concat(), keys);
        for chunk in &chunks {
            let but_last: usize = chunk[..chunk.len() - 1].iter().map(String::len).sum();
            assert!(chunk.len() <= KEYS_MAX && but_last < KEY_BYTES_MAX);
        }
        assert!(chunks.len() < 20, "{} commands for 1200 keys", chunks.len());
    }
}
