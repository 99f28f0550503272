//! An agent in front of model caches, on a log that the test writes itself.

mod cache;
mod change;
mod log;
mod vault;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, AgentSetup, Cache, CacheSwitch, Drivers, LaneConfig, OpenDriver};
use broker_adapter::{Embedded, EmbeddedConfig};
use daemon::{Clock, Health, Stop};
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{
    Audience, Heartbeat, LineId, LogMessage, Number, NumberRange, Priority, Selector, Site, Sites,
    wire,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::gate::Gate;
use cache::Model;
use log::append;
use vault::Vault;

pub(crate) use cache::{Behaviour, CacheSettings};
pub(crate) use view::OneLine;

/// Longest wait for anything, in paused time.
const PATIENCE: Duration = Duration::from_mins(15);

/// The bench.
pub(crate) struct Bench {
    broker: Arc<Embedded>,
    state: tempfile::TempDir,
    caches: Vec<(String, CacheSettings)>,
    drivers: Mutex<HashMap<String, OpenDriver>>,
    begun: Arc<Mutex<BTreeSet<String>>>,
    switch: Option<CacheSwitch>,
    behaviours: Arc<Mutex<HashMap<String, Behaviour>>>,
    purges: Arc<Mutex<Vec<(String, String)>>>,
    vaults: Arc<Mutex<HashMap<String, Vault>>>,
    registry: Arc<Mutex<Registry>>,
    health: Health,
    heads: Arc<Mutex<BTreeMap<Priority, Number>>>,
    agent: JoinSet<()>,
    heartbeats: JoinSet<()>,
    stop: Stop,
    gate: Arc<Gate>,
    fail_open_after: Option<Duration>,
    backlog_max: Option<NonZeroU64>,
    origin: Instant,
    began: Instant,
}

pub(crate) fn tag(name: &str) -> Selector {
    Selector::Tag(name.parse().expect("a tag"))
}

pub(crate) fn number(number: Number) -> NumberRange {
    NumberRange { first: number, last: number }
}

pub(crate) fn line(priority: Priority) -> LineId {
    LineId::from_bytes([priority as u8 + 1; 16])
}

impl Bench {
    pub(crate) fn new() -> Self {
        let broker = Embedded::in_memory(EmbeddedConfig::default(), || Timestamp::UNIX_EPOCH);
        let broker = Arc::new(broker.expect("a log in memory"));
        let gate = Arc::new(Gate::new(broker.clone()));
        let origin = Instant::now();
        let mut bench = Self {
            broker,
            gate,
            fail_open_after: AgentConfig::default().ready_fail_open_after,
            origin,
            state: tempfile::tempdir().expect("a folder"),
            caches: Vec::new(),
            drivers: Mutex::default(),
            begun: Arc::default(),
            switch: None,
            behaviours: Arc::default(),
            purges: Arc::default(),
            vaults: Arc::default(),
            registry: Arc::default(),
            backlog_max: None,
            health: Health::default(),
            heads: Arc::default(),
            agent: JoinSet::new(),
            heartbeats: JoinSet::new(),
            stop: Stop::new(),
            began: Instant::now(),
        };
        let (broker, heads) = (bench.broker.clone(), bench.heads.clone());
        bench.heartbeats.spawn(async move {
            loop {
                for priority in Priority::ALL {
                    let head = heads.lock().get(&priority).copied();
                    let heartbeat = LogMessage::Heartbeat(Heartbeat {
                        publisher: "p".parse().expect("a name"),
                        at: Timestamp::UNIX_EPOCH + origin.elapsed(),
                        lines: head.into_iter().map(|head| (line(priority), head)).collect(),
                        agents: None,
                    });
                    append(&broker, priority, wire::encode_log(&heartbeat)).await;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        bench
    }

    pub(crate) fn cache(mut self, name: &str, set: impl FnOnce(&mut CacheSettings)) -> Self {
        self.add(name, set);
        self
    }

    /// From its next start or change on the agent has one cache more.
    pub(crate) fn add(&mut self, name: &str, set: impl FnOnce(&mut CacheSettings)) {
        let mut settings = CacheSettings {
            lane: LaneConfig::default(),
            rebounds: vec![Duration::from_secs(1)],
            starts_empty: true,
            softens: false,
            flush_spread: Duration::ZERO,
            parts: BTreeSet::new(),
            keeps_cursors: false,
        };
        set(&mut settings);
        self.caches.push((name.to_owned(), settings));
    }

    /// Starts the agent and waits until all its lanes are ready.
    pub(crate) async fn start(&mut self) {
        self.start_unready();
        let names: Vec<String> = self.caches.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            for priority in Priority::ALL {
                self.until_lane(&name, priority, |lane| lane.ready).await;
            }
        }
        self.began = Instant::now();
    }

    pub(crate) fn start_unready(&mut self) {
        let hosts = ["www.example.com".parse().expect("a host")];
        let site = Site {
            name: "main".parse().expect("a name"),
            hosts: hosts.into(),
            regions: Audience::All,
        };
        self.stop = Stop::new();
        let agent = Agent::open(AgentSetup {
            config: AgentConfig {
                state: self.state.path().to_owned(),
                ready_fail_open_after: self.fail_open_after,
                ready_backlog_max: self.backlog_max,
                ..AgentConfig::default()
            },
            name: "edge-1".parse().expect("a name"),
            caches: self.models(),
            sites: Arc::new(Sites::new([site])),
            broker: self.gate.clone(),
            retention: Duration::from_hours(24),
            clock: Clock::following(Timestamp::UNIX_EPOCH + self.origin.elapsed()),
            health: self.health.clone(),
            metrics: self.registry.clone(),
        });
        let agent = agent.expect("an agent");
        self.switch = Some(agent.switch());
        let running = agent.run(self.stop.clone());
        self.agent.spawn(async move { running.await.expect("the agent ends well") });
    }

    fn models(&self) -> Vec<Cache> {
        self.caches.iter().map(|(name, settings)| self.model(name, settings)).collect()
    }

    fn model(&self, name: &str, settings: &CacheSettings) -> Cache {
        Cache {
            name: name.parse().expect("a name"),
            lane: LaneConfig {
                starts_empty: settings.starts_empty,
                flush_spread: settings.flush_spread,
                ..settings.lane.clone()
            },
            kind: "model".to_owned(),
            rebounds: settings.rebounds.clone(),
            parts: settings.parts.clone(),
            drivers: Drivers::Made(self.drivers(name, settings)),
        }
    }

    /// Always the same of one cache.
    fn drivers(&self, name: &str, settings: &CacheSettings) -> OpenDriver {
        let (behaviours, purges) = (self.behaviours.clone(), self.purges.clone());
        let (cache, softens, begun) = (name.to_owned(), settings.softens, self.begun.clone());
        let (vaults, keeps_cursors) = (self.vaults.clone(), settings.keeps_cursors);
        self.vaults.lock().entry(cache.clone()).or_default();
        let open: OpenDriver = Arc::new(move |surroundings| {
            begun.lock().insert(cache.clone());
            Arc::new(Model {
                cache: cache.clone(),
                priority: surroundings.priority,
                softens,
                keeps_cursors,
                behaviours: behaviours.clone(),
                purges: purges.clone(),
                vaults: vaults.clone(),
            })
        });
        self.drivers.lock().entry(name.to_owned()).or_insert(open).clone()
    }

    /// Stops the agent as a signal would.
    pub(crate) async fn stop(&mut self) {
        self.stop.request();
        let ended = timeout(PATIENCE, self.agent.join_next()).await.expect("it ends");
        ended.expect("it ran").expect("it ended well");
    }

    /// The agent's state folder.
    pub(crate) fn state(&self) -> &std::path::Path {
        self.state.path()
    }

    /// Keeps a copy of a cache's cursor, or puts that in its place.
    pub(crate) fn keep_or_restore_cursor(&self, cache: &str, keep: bool) {
        let cursor = self.state.path().join(format!("{cache}.normal.cursor"));
        let copy = self.state.path().join("copy");
        let (from, to) = if keep { (cursor, copy) } else { (copy, cursor) };
        std::fs::copy(from, to).expect("a cursor");
    }

    /// Stops the agent as `kill -9` would.
    pub(crate) async fn kill(&mut self) {
        self.agent.shutdown().await;
    }

    /// It waits for ever to hear the log before it counts as ready.
    pub(crate) fn never_ready_unheard(mut self) -> Self {
        self.fail_open_after = None;
        self
    }

    /// A lane with a longer backlog is not ready.
    pub(crate) fn not_ready_above(mut self, backlog: u64) -> Self {
        self.backlog_max = NonZeroU64::new(backlog);
        self
    }

    /// Everything that was published leaves the log, as it does when it is old.
    pub(crate) async fn expire(&self) {
        self.broker.retain(Timestamp::MAX).await.expect("a log in memory");
    }

    /// The agent cannot reach the broker, or can again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.gate.close(cut_off);
    }

    /// The publisher says nothing any more.
    pub(crate) fn quiet(&mut self) {
        self.heartbeats.abort_all();
    }

    /// What the publisher's clock shows.
    pub(crate) fn publisher_time(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.origin.elapsed()
    }

    /// The board takes no reports, or does again.
    pub(crate) fn refuse_reports(&self, refuse: bool) {
        self.gate.refuse_reports(refuse);
    }

    pub(crate) fn behave(&self, cache: &str, behaviour: Behaviour) {
        self.behaviours.lock().insert(cache.to_owned(), behaviour);
    }
}
