//! Redis: keys that are all there, and UNLINK.

use std::fmt::Write as _;
use std::sync::Arc;

use agent::OpenDriver;
use agent::driver::redis::{Redis as RedisDriver, RedisConfig};
use anyhow::ensure;
use serde_json::json;
use tests::servers::redis::Redis;

use super::{Options, benchmark, pipe};
use crate::raw::Reading;

/// What every key begins with.
const PREFIX: &str = "main:n";

pub(super) const NOTES: [&str; 3] = [
    "baseline: one UNLINK for each key, all written at once on one connection, as many as the lane has",
    "baseline_benchmark: redis-benchmark on one connection, UNLINK of random ones of as many keys, as many at once as a batch of ours has",
    "stale: of all keys, which were there before each round, those that were there afterwards",
];

/// Redis, and what is written to it.
pub(super) struct Stage {
    count: u64,
    batch: u64,
    redis: Redis,
    fill: Vec<u8>,
    fill_for_benchmark: Vec<u8>,
    exists: Vec<u8>,
    unlink: Vec<u8>,
}

impl Stage {
    pub(super) async fn start(options: &Options) -> Self {
        let count = options.count;
        let with_value = |key: &str| vec!["SET".to_owned(), key.to_owned(), "page".to_owned()];
        let of_key = |word: &'static str| move |key: &str| vec![word.to_owned(), key.to_owned()];
        let begin = commands(std::iter::once(vec!["FLUSHALL".to_owned()]));
        let ours = || (1..=count).map(|number| format!("{PREFIX}{number}"));
        let theirs = (0..count).map(|number| format!("{PREFIX}{number:012}"));
        Self {
            count,
            batch: options.batch,
            redis: Redis::start().await,
            fill: [begin.clone(), for_each(ours(), with_value)].concat(),
            fill_for_benchmark: [begin, for_each(theirs, with_value)].concat(),
            exists: for_each(ours(), of_key("EXISTS")),
            unlink: for_each(ours(), of_key("UNLINK")),
        }
    }

    pub(super) async fn fill(&self) -> anyhow::Result<()> {
        self.fill_with(&self.fill).await
    }

    async fn fill_with(&self, stored: &[u8]) -> anyhow::Result<()> {
        // The first empties it, and the last one ends the connection.
        pipe::on_each(self.redis.address(), &[stored.to_vec()], "+OK", self.count + 2).await
    }

    /// What the tool of Redis itself reaches.
    pub(super) async fn benchmark(&self) -> anyhow::Result<Reading> {
        self.fill_with(&self.fill_for_benchmark).await?;
        benchmark::unlink(self.redis.address(), PREFIX, self.count, self.batch).await
    }

    pub(super) async fn stale(&self) -> anyhow::Result<u64> {
        let [there, gone] =
            pipe::count(self.redis.address(), &self.exists, [":1\r\n", ":0\r\n"]).await?;
        ensure!(there + gone == self.count, "Redis did not tell of every key");
        Ok(there)
    }

    pub(super) async fn raw(&self) -> anyhow::Result<()> {
        let removed = std::slice::from_ref(&self.unlink);
        pipe::on_each(self.redis.address(), removed, ":1\r\n", self.count).await
    }

    pub(super) fn open(&self) -> anyhow::Result<OpenDriver> {
        let url = format!("redis://{}", self.redis.address());
        let config: RedisConfig =
            serde_json::from_value(json!({"url": url, "keys": {"key": "{site}:{key}"}}))?;
        Ok(Arc::new(move |surroundings| Arc::new(RedisDriver::new(&config, surroundings))))
    }
}

/// A command for each of these `keys`, and the end of the connection.
fn for_each(keys: impl Iterator<Item = String>, command: impl Fn(&str) -> Vec<String>) -> Vec<u8> {
    commands(keys.map(|key| command(&key)).chain([vec!["QUIT".to_owned()]]))
}

fn commands(all: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut bytes = String::new();
    for words in all {
        let _infallible = write!(bytes, "*{}\r\n", words.len());
        for word in words {
            let _infallible = write!(bytes, "${}\r\n{word}\r\n", word.len());
        }
    }
    bytes.into_bytes()
}
