//! What went wrong with Redis, and what the lane shall do about it.

use redis::{RedisError, ServerError};
use schemas::{Exchange, Selector, SiteName};

use crate::driver::{PurgeError, Refused};

/// Errors that may concern one selector alone. Whether they do, the lane finds out by asking for a probe;
/// every other error concerns the server as a whole, or passes.
const REFUSALS: [&str; 3] = ["ERR", "NOPERM", "WRONGTYPE"];

/// What this driver itself objects to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Objection {
    #[error("no template makes a key of site {site} for {selector}")]
    NoKey { site: SiteName, selector: Selector },
    #[error(
        "the tag set {set} holds {member:?}, which is no content of site {site} by any template: not removed"
    )]
    ForeignMember { set: String, member: String, site: SiteName },
    #[error("Redis {version} has no UNLINK; it came with 4.0")]
    TooOld { version: String },
    #[error("it is a replica of {primary}; name the primary in `url`")]
    Replica { primary: String },
    #[error("it is a node of a Redis Cluster, which this driver cannot purge")]
    Cluster,
    #[error("it is a Sentinel; name an address in `url` that leads to the primary")]
    Sentinel,
    #[error(
        "it took a key and then had none to remove; is there more than one server behind `url`?"
    )]
    ProbeVanished,
    #[error("the connection on which the cursor was read is gone")]
    AnotherConnection,
    #[error(
        "{key} does not hold what was last stored there: it was removed, or this Redis holds other data than before"
    )]
    AnotherCursor { key: String },
}

/// Waiting helps, or someone who mends the cache.
pub(super) fn unavailable(
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PurgeError {
    PurgeError::Unavailable { after: None, source: source.into() }
}

/// A failed command, or pipeline of which any command failed.
pub(super) fn failed(error: RedisError) -> PurgeError {
    let errors = error.clone().into_server_errors().filter(|errors| {
        !errors.is_empty() && errors.iter().all(|(_, error)| REFUSALS.contains(&error.code()))
    });
    match errors {
        Some(errors) => {
            let replies: Vec<_> = errors.iter().map(|(_, error)| reply(error)).collect();
            PurgeError::Refused(Refused::by(exchange(&replies), error))
        }
        None => unavailable(error),
    }
}

/// The line that Redis answered.
fn reply(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("-{} {details}", error.code()),
        None => format!("-{}", error.code()),
    }
}

/// The first error reply is the status line, those of the commands after it follow.
fn exchange(replies: &[String]) -> Option<Exchange> {
    let (first, others) = replies.split_first()?;
    Some(Exchange::new(first.as_bytes(), others.join("\n").as_bytes()))
}

/// A failed command that concerns no selector: whatever is refused is refused to all.
pub(super) fn never_refused(error: PurgeError) -> PurgeError {
    match error {
        PurgeError::Refused(refused) => refused.of_all(),
        unavailable @ PurgeError::Unavailable { .. } => unavailable,
    }
}

/// Whether the server took the command for one that needs memory, of which it has none left.
pub(super) fn is_out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, Value, parse_redis_value};

    use super::*;

    fn answered(line: &str) -> RedisError {
        let reply = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = reply else { panic!("{reply:?} is no error") };
        error.into()
    }

    #[test]
    fn only_what_may_concern_one_selector_is_a_refusal() {
        for (line, refused) in [
            ("WRONGTYPE Operation against a key holding the wrong kind of value", true),
            ("NOPERM No permissions to access a key", true),
            ("ERR unknown command 'UNLINK'", true),
            ("OOM command not allowed when used memory > 'maxmemory'.", false),
            ("LOADING Redis is loading the dataset in memory", false),
            ("READONLY You can't write against a read only replica.", false),
            ("MASTERDOWN Link with MASTER is down", false),
            ("CLUSTERDOWN The cluster is down", false),
            ("MOVED 3999 127.0.0.1:6381", false),
            ("BUSY Redis is busy running a script.", false),
            ("MISCONF Errors writing to the AOF file", false),
            ("NOREPLICAS Not enough good replicas to write.", false),
            ("NOAUTH Authentication required.", false),
            ("WRONGPASS invalid username-password pair", false),
            ("SOMETHINGNEW it is", false),
        ] {
            let error = failed(answered(line));
            let answered = match &error {
                PurgeError::Refused(refused) => refused.exchange().map(Exchange::status),
                PurgeError::Unavailable { .. } => None,
            };
            assert_eq!(answered, refused.then_some(&*format!("-{line}")), "{error:?}");
        }
    }

    #[test]
    fn of_several_error_replies_the_first_is_the_status_line() {
        let replies = ["-ERR one", "-ERR two", "-ERR three"].map(str::to_owned);
        let exchange = exchange(&replies).expect("an answer");
        assert_eq!(
            (exchange.status(), exchange.answer()),
            ("-ERR one", Some("-ERR two\n-ERR three"))
        );
    }

    #[test]
    fn what_the_client_says_is_unavailable() {
        for kind in [ErrorKind::Io, ErrorKind::Parse, ErrorKind::AuthenticationFailed] {
            let error = failed(RedisError::from((kind, "so it is")));
            assert!(matches!(error, PurgeError::Unavailable { .. }), "{kind:?}: {error:?}");
        }
    }
}
