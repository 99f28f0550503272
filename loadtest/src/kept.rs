//! Pages that a real Redis keeps before they are purged, and which of them it still has: what was lost.

use anyhow::Context as _;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use schemas::Number;
use tests::record::HOST;
use tests::servers::redis::Redis;

/// Most keys asked for at once.
const ASKED: usize = 1_000;

/// The pages, by the numbers that purge them.
pub(crate) struct Kept {
    connection: MultiplexedConnection,
    keys: Vec<String>,
}

impl Kept {
    /// None yet.
    pub(crate) async fn begin(redis: &Redis) -> Self {
        Self { connection: redis.connect().await, keys: Vec::new() }
    }

    /// Stores the page of a number that is not published yet.
    ///
    /// # Errors
    /// When Redis does not take it.
    pub(crate) async fn store(&mut self, number: Number) -> anyhow::Result<()> {
        let key = key(number);
        self.connection.set::<_, _, ()>(&key, "page").await.context("Redis takes a page")?;
        self.keys.push(key);
        Ok(())
    }

    /// How many it still has.
    ///
    /// # Errors
    /// When Redis does not say.
    pub(crate) async fn left(&mut self) -> anyhow::Result<u64> {
        let mut left = 0;
        for keys in self.keys.chunks(ASKED) {
            let there: u64 = self.connection.exists(keys).await.context("Redis answers")?;
            left += there;
        }
        Ok(left)
    }
}

/// What the page of a number is called there.
pub(crate) fn key(number: Number) -> String {
    format!("page:{HOST}/page/{number}")
}
