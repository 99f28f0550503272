//! `purgebus replay` as a shell runs it.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tests::process::purgebus;
use tests::serve::Api;
use tests::servers::redis::Redis;

/// A value that nobody has changed since it was purged last: as after a restore.
const STALE: &str = "stale";

/// One that runs.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(api: &Api, arguments: &[&str]) -> Self {
        let mut command = command(api, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the binary runs"))
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    pub(crate) async fn end(self) -> Told {
        let ending = tokio::task::spawn_blocking(move || self.0.wait_with_output());
        Told::of(&ending.await.expect("no panic").expect("it ends"))
    }
}

/// What one told when it had ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) errors: String,
    stdout: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            errors: text(&output.stderr),
            stdout: text(&output.stdout),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// How many there were to publish again.
    pub(crate) fn matched(&self) -> u64 {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.json()["counts"]["matched"].as_u64().expect("a count")
    }
}

/// Runs it to its end.
pub(crate) async fn replay(api: &Api, arguments: &[&str]) -> Told {
    Running::start(api, arguments).end().await
}

fn command(api: &Api, arguments: &[&str]) -> Command {
    let mut command = purgebus();
    command.args(["replay", "--json"]).args(arguments);
    command.env("PURGEBUS_URL", format!("http://{}", api.address()));
    command
}

/// Redis holds stale values under these keys of the site.
pub(crate) async fn restore(redis: &Redis, keys: impl Iterator<Item = usize>) {
    let mut connection = redis.connect().await;
    for key in keys {
        let set: redis::RedisResult<()> =
            redis::AsyncCommands::set(&mut connection, format!("main:{key}"), STALE).await;
        set.expect("it is stored");
    }
}

/// How many stale values Redis holds.
pub(crate) async fn held(redis: &Redis) -> usize {
    let mut connection = redis.connect().await;
    let keys: redis::RedisResult<Vec<String>> =
        redis::AsyncCommands::keys(&mut connection, "main:*").await;
    keys.expect("an answer").len()
}

/// Publishes that these keys have changed, and waits until the last is final, unless somebody is away.
pub(crate) async fn publish(api: &Api, keys: std::ops::Range<usize>, wait: bool) {
    let last = keys.end - 1;
    for key in keys {
        let body = serde_json::json!({"site": "main", "keys": [key.to_string()]});
        if wait && key == last {
            api.publish_until("final", &body).await;
        } else {
            api.publish(&body).await;
        }
    }
}
