//! A log that holds much of the past, and replays of all of it.

use std::time::Duration;

use anyhow::ensure;
use daemon::Clock;
use schemas::api::{Replay, ReplayState};
use serde_json::json;
use tests::serve::Api;
use tokio::time::{Instant, sleep};

use crate::beat::Beat;
use crate::http::{Clients, Request};

/// Who fills it, and at most how many a second.
const CLIENTS: usize = 256;
const A_SECOND: u64 = 20_000;
/// How often something is waited for, and for how long at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_mins(10);
/// A cache that lacks nothing at two looks so far apart has caught up.
const LOOK_TWICE: Duration = Duration::from_secs(2);

/// What is replayed.
pub(super) struct Filled<'a> {
    /// How many there are.
    pub(super) count: u64,
    api: &'a Api,
    since: String,
    until: String,
}

impl<'a> Filled<'a> {
    /// Publishes a page for each number below `count`, or for a few more, and waits until the cache lacks none of them.
    pub(super) async fn fill(api: &'a Api, count: u64) -> anyhow::Result<Self> {
        let since = Clock::system().now().to_string();
        let clients = Clients::connect(api.address(), CLIENTS).await?;
        let beat = Beat::new(A_SECOND, Duration::from_millis(count.div_ceil(A_SECOND / 1_000)));
        let page = |page| Request::of_pages([format!("/page/{page}")].into_iter());
        let count = clients.keep_time(&beat, page).await?.len() as u64;
        let until = Clock::system().now().to_string();
        let filled = Self { count, api, since, until };
        filled.caught_up().await?;
        Ok(filled)
    }

    /// Begins a replay of it all, and waits until it publishes.
    pub(super) async fn begin(&self, rate: Option<u32>) -> anyhow::Result<Replay> {
        let request = json!({"since": self.since, "until": self.until, "rate": rate});
        let mut replay: Replay = self.api.post("/v1/replays", &request).await?;
        let asked = Instant::now();
        while replay.published == 0 {
            ensure!(asked.elapsed() < PATIENCE, "it does not begin: {replay:?}");
            sleep(LOOK_EVERY).await;
            replay = self.now(&replay).await?;
        }
        Ok(replay)
    }

    /// How it stands now.
    pub(super) async fn now(&self, replay: &Replay) -> anyhow::Result<Replay> {
        Ok(self.api.get(&format!("/v1/replays/{}", replay.id)).await?)
    }

    /// Whether it has not ended.
    pub(super) fn is_running(replay: &Replay) -> bool {
        replay.state == ReplayState::Running
    }

    /// Stops one that must still run, and waits until the cache lacks nothing of it.
    pub(super) async fn cancel(&self, replay: &Replay) -> anyhow::Result<()> {
        let running = self.now(replay).await?;
        ensure!(Self::is_running(&running), "it ended too soon: more --count, or less --rate");
        self.api.delete(&format!("/v1/replays/{}", replay.id)).await?;
        let cancelled = self.now(replay).await?;
        ensure!(!Self::is_running(&cancelled), "it does not stop: {cancelled:?}");
        self.caught_up().await
    }

    /// Waits until the cache lacks nothing.
    pub(super) async fn caught_up(&self) -> anyhow::Result<()> {
        let (asked, mut since) = (Instant::now(), None);
        loop {
            let lanes = self.api.lanes("redis").await;
            let lag: u64 = lanes.iter().map(|lane| lane.lag_numbers).sum();
            since = since.filter(|_| lag == 0).or((lag == 0).then(Instant::now));
            if since.is_some_and(|since| since.elapsed() > LOOK_TWICE) {
                return Ok(());
            }
            ensure!(asked.elapsed() < PATIENCE, "the cache does not catch up: it lacks {lag}");
            sleep(LOOK_EVERY).await;
        }
    }
}
