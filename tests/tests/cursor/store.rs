//! A Redis full of values, the truth about each of them, and the process that purges what has changed.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use schemas::api::{Progress, ProgressState};
use serde_json::json;
use tests::eventually;
use tests::process::{Home, Process};
use tests::serve::Api;
use tests::servers::redis::Redis;

/// Where the cursor lies.
pub(crate) const CURSOR: &str = "purgebus:cursor:edge-1:redis:normal";
/// The one site of most tests.
pub(crate) const MAIN: &str = "[[site]]\nname = \"main\"\nhosts = [\"www.example.com\"]\n";
/// Raw keys, in a Redis that is empty at the first start.
pub(crate) const KEYS: &str = "keys = { key = \"{site}:{key}\" }\nstarts_empty = true";
/// A later pass that takes long enough to be seen coming.
const REBOUNDS: &str = "rebounds = [\"500ms\"]";

pub(crate) struct Store {
    pub(crate) redis: Redis,
    pub(crate) process: Process,
    api: Api,
    truth: Mutex<BTreeMap<String, u64>>,
}

/// The file of a `serve` with `sites` and one cache, which has these further keys.
pub(crate) fn file(
    redis: &Redis,
    sites: &str,
    region: &str,
    cache: &str,
) -> impl Fn(&Home) -> String + Send + Sync + use<> {
    let (address, sites) = (redis.address(), sites.to_owned());
    let (region, cache) = (region.to_owned(), cache.to_owned());
    move |home| {
        let (Home { api, admin, .. }, journal, state) = (home, home.journal(), home.state());
        let (journal, state) = (journal.display(), state.display());
        format!(
            "grace = \"15s\"\n[publisher]\nname = \"publisher-1\"\nlisten = \"{api}\"\n\
             admin = \"{admin}\"\njournal = \"{journal}\"\n{sites}\n\
             [agent]\nname = \"edge-1\"\nregion = \"{region}\"\nadmin = \"{admin}\"\n\
             state = \"{state}\"\n[[agent.cache]]\nname = \"redis\"\ndriver = \"redis\"\n\
             url = \"redis://{address}\"\ntimeout = \"1s\"\n{REBOUNDS}\n{cache}\n"
        )
    }
}

impl Store {
    /// Empty, with one site and raw keys; ready.
    pub(crate) async fn start() -> Self {
        Self::with(KEYS).await
    }

    /// The same with these keys of the cache.
    pub(crate) async fn with(cache: &str) -> Self {
        let redis = Redis::start().await;
        let file = file(&redis, MAIN, "local", cache);
        let process = Process::start("serve", file).await;
        let api = Api::new(process.home().api, process.admin().clone());
        process.ready().await;
        let store = Self { redis, process, api, truth: Mutex::default() };
        store.cursor_is_there().await;
        store
    }

    pub(crate) async fn cursor_is_there(&self) {
        eventually("the cursor lies in Redis", async || self.holds(CURSOR).await).await;
    }

    pub(crate) async fn admin(&self) -> MultiplexedConnection {
        self.redis.connect().await
    }

    /// Values of raw keys as they are now, in front of the application.
    pub(crate) async fn fill(&self, names: &[&str]) {
        let mut admin = self.admin().await;
        for name in names {
            let version = *self.truth.lock().entry((*name).to_owned()).or_insert(1);
            cmd("SET").arg(name).arg(version).exec_async(&mut admin).await.unwrap();
        }
    }

    /// A value of the site `main` has changed, which is told to everybody and final.
    pub(crate) async fn change(&self, name: &str) -> Progress {
        *self.truth.lock().entry(format!("main:{name}")).or_insert(1) += 1;
        self.api.publish_until("final", &json!({"site": "main", "keys": [name]})).await
    }

    /// Waits until later passes of flushes touch nothing any more that is stored from now on.
    pub(crate) async fn passes_are_over(&self) {
        self.change("last").await;
    }

    pub(crate) async fn state(&self, change: &Progress) -> ProgressState {
        self.api.status(change.facts.id).await.state
    }

    pub(crate) async fn is_final_again(&self, change: &Progress) {
        eventually("it is final again", async || self.state(change).await == ProgressState::Final)
            .await;
    }

    pub(crate) async fn holds(&self, key: &str) -> bool {
        let mut admin = self.admin().await;
        cmd("EXISTS").arg(key).query_async(&mut admin).await.unwrap()
    }

    pub(crate) async fn no_longer_holds(&self, key: &str) {
        eventually(&format!("{key} is gone"), async || !self.holds(key).await).await;
    }

    /// What Redis holds, its cursors aside; nothing of it is stale.
    pub(crate) async fn holds_nothing_stale(&self, expected: &[&str]) {
        let mut admin = self.admin().await;
        let mut keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut admin).await.unwrap();
        keys.retain(|key| !key.starts_with("purgebus:"));
        keys.sort();
        assert_eq!(keys, expected);
        for key in keys {
            let value: u64 = cmd("GET").arg(&key).query_async(&mut admin).await.unwrap();
            assert_eq!(value, self.truth.lock()[&key], "{key} is stale");
        }
    }

    pub(crate) async fn save(&self) {
        cmd("SAVE").exec_async(&mut self.admin().await).await.unwrap();
    }

    /// Redis dies and comes back with what was saved.
    pub(crate) async fn restore(&mut self) {
        self.redis.stop().await;
        self.redis.restart().await;
        let loaded = async || {
            let pong = cmd("PING").query_async::<String>(&mut self.admin().await).await;
            pong.is_ok()
        };
        eventually("Redis has loaded", loaded).await;
    }

    pub(crate) async fn forget_cursors(&self) {
        let mut admin = self.admin().await;
        for priority in ["normal", "critical"] {
            let key = format!("purgebus:cursor:edge-1:redis:{priority}");
            cmd("DEL").arg(key).exec_async(&mut admin).await.unwrap();
        }
    }

    /// Saves what Redis holds, without any cursor.
    pub(crate) async fn save_without_cursors(&self) {
        self.process.pause();
        self.forget_cursors().await;
        self.save().await;
        self.process.resume();
    }

    pub(crate) async fn break_connections(&self) {
        let mut kill = cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        kill.exec_async(&mut self.admin().await).await.unwrap();
    }

    /// How often a lane flushed, for this cause, since the process started.
    pub(crate) async fn flushes(&self, cause: &str) -> u64 {
        self.count("purgebus_flushes_total", cause).await
    }

    /// How often the normal lane found that Redis has lost something.
    pub(crate) async fn relapses(&self, cause: &str) -> u64 {
        self.count("purgebus_relapses_total", cause).await
    }

    async fn count(&self, metric: &str, cause: &str) -> u64 {
        let cause = format!("cause=\"{cause}\"");
        self.api.count(metric, &["priority=\"normal\"", &cause]).await
    }
}
