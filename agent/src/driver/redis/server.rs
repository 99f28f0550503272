//! Whether a server is one whose keys can be removed through it.

use redis::aio::MultiplexedConnection;
use redis::{InfoDict, cmd};

use super::fault::{Objection, failed, unavailable};
use crate::driver::PurgeError;

/// The first version with UNLINK.
const MAJOR_MIN: u32 = 4;

/// Longest id that a server has: 40 hexadecimal digits.
const ID_BYTES_MAX: usize = 64;

/// A server that purges.
#[derive(Debug)]
pub(super) struct Server {
    /// What it is, in words.
    pub(super) words: String,
    /// Its run id and its replication id: a restart changes the one, another data set the other.
    pub(super) identity: Option<String>,
}

/// Which server it is that answers.
pub(super) async fn identify(connection: &mut MultiplexedConnection) -> Result<Server, PurgeError> {
    let info: InfoDict = cmd("INFO").query_async(connection).await.map_err(failed)?;
    let words = recognise(&info).map_err(unavailable)?;
    Ok(Server { words, identity: identity(&info) })
}

pub(super) fn identity(info: &InfoDict) -> Option<String> {
    let id = |field: &str| {
        let id = info.get::<String>(field)?;
        let fits = (1..=ID_BYTES_MAX).contains(&id.len());
        (fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(id)
    };
    Some(format!("{} {}", id("run_id")?, id("master_replid")?))
}

pub(super) fn recognise(info: &InfoDict) -> Result<String, Objection> {
    let text = |field: &str| info.get::<String>(field).unwrap_or_default();
    let version = text("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < MAJOR_MIN) {
        return Err(Objection::TooOld { version });
    }
    if text("redis_mode") == "cluster" {
        return Err(Objection::Cluster);
    }
    if text("redis_mode") == "sentinel" {
        return Err(Objection::Sentinel);
    }
    if text("role") == "slave" {
        let primary = format!("{}:{}", text("master_host"), text("master_port"));
        return Err(Objection::Replica { primary });
    }
    Ok(format!("Redis {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_that_knows_unlink_is_taken() {
        let told = |info: &str| match recognise(&InfoDict::new(info)) {
            Ok(server) => server,
            Err(objection) => objection.to_string(),
        };
        for (info, expected) in [
            ("redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master", "Redis 7.0.15"),
            ("redis_version:4.0.0\r\nrole:master", "Redis 4.0.0"),
            ("redis_version:3.2.13\r\nrole:master", "Redis 3.2.13 has no UNLINK; it came with 4.0"),
            (
                "redis_version:7.0.15\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379",
                "it is a replica of 10.0.0.1:6379; name the primary in `url`",
            ),
            (
                "redis_version:7.0.15\r\nredis_mode:cluster\r\nrole:master",
                "it is a node of a Redis Cluster, which this driver cannot purge",
            ),
            (
                "redis_version:7.0.15\r\nredis_mode:sentinel",
                "it is a Sentinel; name an address in `url` that leads to the primary",
            ),
        ] {
            assert_eq!(told(info), expected);
        }
    }

    #[test]
    fn a_server_is_known_by_both_its_ids_or_not_at_all() {
        let long = "f".repeat(65);
        for (run, data, known) in [
            ("ab12", "cd34", Some("ab12 cd34")),
            ("", "cd34", None),
            ("ab12", "", None),
            ("ab 12", "cd34", None),
            (long.as_str(), "cd34", None),
        ] {
            let info = InfoDict::new(&format!("run_id:{run}\r\nmaster_replid:{data}\r\n"));
            assert_eq!(identity(&info).as_deref(), known);
        }
    }
}
