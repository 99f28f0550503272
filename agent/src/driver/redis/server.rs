//! Whether a server is one whose keys can be removed through it.

use redis::aio::MultiplexedConnection;
use redis::{InfoDict, cmd};

use super::fault::{Objection, failed, unavailable};
use crate::driver::PurgeError;

/// The first version with UNLINK.
const MAJOR_MIN: u32 = 4;

/// What it is, in words.
pub(super) async fn identify(connection: &mut MultiplexedConnection) -> Result<String, PurgeError> {
    let info: InfoDict = cmd("INFO").query_async(connection).await.map_err(failed)?;
    recognise(&info).map_err(unavailable)
}

fn recognise(info: &InfoDict) -> Result<String, Objection> {
    let text = |field: &str| info.get::<String>(field).unwrap_or_default();
    let version = text("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < MAJOR_MIN) {
        return Err(Objection::TooOld { version });
    }
    if text("redis_mode") == "cluster" {
        return Err(Objection::Cluster);
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
        ] {
            assert_eq!(told(info), expected);
        }
    }
}
