//! An agent in front of model caches, on a log that the test writes itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use agent::driver::{Batch, Driver, PurgeError};
use agent::{Agent, AgentConfig, AgentSetup, Cache, LaneConfig};
use async_trait::async_trait;
use broker_adapter::{Broker, Embedded, EmbeddedConfig, Message, Partition, Start, Topic};
use bytes::Bytes;
use daemon::{Clock, Health, Readiness, Stop};
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{
    Abilities, Ability, Audience, BoardMessage, ClockReading, Frame, Heartbeat, Incarnation,
    Invalidation, LaneReport, LineId, LineReport, LogMessage, Mode, Number, NumberRange,
    PUBLISHERS_BOARD, Priority, REPORTS_BOARD, Selector, Site, Sites, wire,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::gate::Gate;

/// Longest wait for anything, in paused time.
const PATIENCE: Duration = Duration::from_mins(15);

/// How a model cache answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Behaviour {
    Works,
    Slow(Duration),
    Down,
    Refuses(String),
    RefusesAll,
}

#[derive(Debug)]
struct Model {
    cache: String,
    behaviours: Arc<Mutex<HashMap<String, Behaviour>>>,
    purges: Arc<Mutex<Vec<(String, String)>>>,
}

#[async_trait]
impl Driver for Model {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        let yes = Ability::Supported;
        Ok(Abilities {
            url: yes,
            url_any_query: yes,
            prefix: yes,
            tag: yes,
            key: yes,
            everything: yes,
            soft: false,
            batch_selectors_max: 100,
            manner: "a model".to_owned(),
        })
    }

    async fn purge(&self, batch: &Batch) -> Result<(), PurgeError> {
        let behaviour = self.behaviours.lock().get(&self.cache).cloned();
        let bad = |text: &str| batch.purges.iter().any(|p| p.selector.to_string() == text);
        match behaviour.unwrap_or(Behaviour::Works) {
            Behaviour::Down => {
                return Err(PurgeError::Unavailable { after: None, source: "down".into() });
            }
            Behaviour::RefusesAll => return Err(PurgeError::Refused("403".into())),
            Behaviour::Refuses(name) if bad(&format!("tag {name}")) => {
                return Err(PurgeError::Refused("bad selector".into()));
            }
            Behaviour::Slow(time) => sleep(time).await,
            Behaviour::Works | Behaviour::Refuses(_) => {}
        }
        let purges = batch.purges.iter().map(|p| (self.cache.clone(), p.selector.to_string()));
        self.purges.lock().extend(purges);
        Ok(())
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        match self.behaviours.lock().get(&self.cache) {
            Some(Behaviour::RefusesAll) => Err(PurgeError::Refused("403 for the probe".into())),
            _ => Ok(()),
        }
    }
}

/// Settings of one model cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheSettings {
    lane: LaneConfig,
    pub(crate) rebounds: Vec<Duration>,
    pub(crate) starts_empty: bool,
    pub(crate) flush_spread: Duration,
}

impl CacheSettings {
    pub(crate) fn after(&mut self, inner: &str) {
        self.lane.after = Some(inner.parse().expect("a name"));
    }

    pub(crate) fn window(&mut self, window: usize) {
        self.lane.window = window;
    }

    pub(crate) fn shared(&mut self) {
        self.lane.shared = true;
        self.starts_empty = false;
    }
}

/// The bench.
pub(crate) struct Bench {
    broker: Arc<Embedded>,
    state: tempfile::TempDir,
    caches: Vec<(String, CacheSettings)>,
    behaviours: Arc<Mutex<HashMap<String, Behaviour>>>,
    purges: Arc<Mutex<Vec<(String, String)>>>,
    registry: Arc<Mutex<Registry>>,
    health: Health,
    heads: Arc<Mutex<BTreeMap<Priority, Number>>>,
    agent: JoinSet<()>,
    heartbeats: JoinSet<()>,
    stop: Stop,
    gate: Arc<Gate>,
    fail_open_after: Option<Duration>,
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

fn topic(priority: Priority) -> Topic {
    Topic::log(priority.as_str())
}

/// The line of a lane of which only one is heard.
pub(crate) trait OneLine {
    fn line(&self) -> LineReport;
}

impl OneLine for LaneReport {
    fn line(&self) -> LineReport {
        self.lines.first().cloned().unwrap_or(LineReport {
            line: line(self.priority),
            base: 0,
            applied: 0,
            applied_above: Vec::new(),
            finished: 0,
            finished_above: Vec::new(),
            exceptions: Vec::new(),
            holes: Vec::new(),
        })
    }
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
            behaviours: Arc::default(),
            purges: Arc::default(),
            registry: Arc::default(),
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
        let mut settings = CacheSettings {
            lane: LaneConfig::default(),
            rebounds: vec![Duration::from_secs(1)],
            starts_empty: true,
            flush_spread: Duration::ZERO,
        };
        set(&mut settings);
        self.caches.push((name.to_owned(), settings));
        self
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
                ..AgentConfig::default()
            },
            name: "edge-1".parse().expect("a name"),
            caches: self.caches.iter().map(|(name, set)| self.model(name, set)).collect(),
            sites: Arc::new(Sites::new([site])),
            broker: self.gate.clone(),
            retention: Duration::from_hours(24),
            clock: Clock::following(Timestamp::UNIX_EPOCH + self.origin.elapsed()),
            health: self.health.clone(),
            metrics: self.registry.clone(),
        });
        let running = agent.expect("an agent").run(self.stop.clone());
        self.agent.spawn(async move { running.await.expect("the agent ends well") });
    }

    fn model(&self, name: &str, settings: &CacheSettings) -> Cache {
        let (behaviours, purges) = (self.behaviours.clone(), self.purges.clone());
        let cache = name.to_owned();
        Cache {
            name: name.parse().expect("a name"),
            lane: LaneConfig {
                starts_empty: settings.starts_empty,
                flush_spread: settings.flush_spread,
                ..settings.lane.clone()
            },
            kind: "model".to_owned(),
            rebounds: settings.rebounds.clone(),
            templates: BTreeSet::new(),
            open: Box::new(move |_| {
                let (behaviours, purges) = (behaviours.clone(), purges.clone());
                Arc::new(Model { cache: cache.clone(), behaviours, purges })
            }),
        }
    }

    /// Stops the agent as a signal would.
    pub(crate) async fn stop(&mut self) {
        self.stop.request();
        let ended = timeout(PATIENCE, self.agent.join_next()).await.expect("it ends");
        ended.expect("it ran").expect("it ended well");
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

    /// The agent cannot reach the broker, or can again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.gate.close(cut_off);
    }

    /// The board takes no reports, or does again.
    pub(crate) fn refuse_reports(&self, refuse: bool) {
        self.gate.refuse_reports(refuse);
    }

    /// Numbers one invalidation that does not reach the log yet.
    pub(crate) fn withhold(&self, selectors: &[Selector]) -> Frame {
        self.frame(Priority::Normal, selectors)
    }

    /// The first frame of a line on another partition, with that partition.
    pub(crate) fn other_line(&self, partition: u8) -> (Frame, Partition) {
        let mut frame = self.frame(Priority::Critical, &[tag(&format!("p{partition}"))]);
        self.heads.lock().remove(&Priority::Critical);
        frame.line = LineId::from_bytes([0x10 + partition; 16]);
        frame.invalidations[0].priority = Priority::Normal;
        (frame, Partition(partition.into()))
    }

    /// Appends a message to the log of the normal lanes.
    pub(crate) async fn say(&self, message: &LogMessage) {
        self.say_on(Partition::default(), message).await;
    }

    pub(crate) async fn say_on(&self, partition: Partition, message: &LogMessage) {
        let message = Message { key: None, id: None, body: wire::encode_log(message) };
        let topic = topic(Priority::Normal);
        self.broker.publish(topic, partition, vec![message]).await.expect("a log in memory");
    }

    /// The publisher has gone on to other lines, long ago, and names the normal one no more.
    pub(crate) async fn close_line(&self, last: Number) {
        self.heads.lock().remove(&Priority::Normal);
        let incarnation = BoardMessage::Incarnation(Incarnation {
            publisher: "p".parse().expect("a name"),
            since: Timestamp::UNIX_EPOCH - Duration::from_hours(50),
            lines: Vec::new(),
            closes: vec![(line(Priority::Normal), last)],
        });
        let (key, body) = (Some(incarnation.key()), wire::encode_board(&incarnation));
        let message = Message { key, id: None, body };
        let board = Topic::board(PUBLISHERS_BOARD);
        self.broker.publish(board, Partition::default(), vec![message]).await.expect("a board");
    }

    fn frame(&self, priority: Priority, selectors: &[Selector]) -> Frame {
        let mut heads = self.heads.lock();
        let head = heads.entry(priority).or_default();
        *head += 1;
        Frame {
            publisher: "p".parse().expect("a name"),
            line: line(priority),
            first: *head,
            committed_at: Timestamp::UNIX_EPOCH,
            invalidations: vec![Invalidation {
                id: uuid::Uuid::nil(),
                site: "main".parse().expect("a name"),
                selectors: selectors.to_vec(),
                mode: Mode::Hard,
                priority,
                audience: Audience::All,
                accepted_at: Timestamp::UNIX_EPOCH,
                expires_in: None,
                after: None,
                reason: None,
                labels: BTreeMap::default(),
            }],
            signature: None,
        }
    }

    /// Publishes one invalidation; answers its number.
    pub(crate) async fn publish(&self, selectors: &[Selector]) -> Number {
        self.publish_on(Priority::Normal, selectors).await
    }

    pub(crate) async fn publish_critical(&self, selectors: &[Selector]) -> Number {
        self.publish_on(Priority::Critical, selectors).await
    }

    async fn publish_on(&self, priority: Priority, selectors: &[Selector]) -> Number {
        let frame = self.frame(priority, selectors);
        append(&self.broker, priority, wire::encode_log(&LogMessage::Frame(frame))).await;
        self.heads.lock()[&priority]
    }

    /// Numbers one invalidation that never reaches the log; answers its number.
    pub(crate) fn lose(&self, selectors: &[Selector]) -> Number {
        let _lost = self.frame(Priority::Normal, selectors);
        self.heads.lock()[&Priority::Normal]
    }

    pub(crate) async fn publish_bytes(&self, bytes: &'static [u8]) {
        append(&self.broker, Priority::Normal, Bytes::from_static(bytes)).await;
    }

    pub(crate) fn behave(&self, cache: &str, behaviour: Behaviour) {
        self.behaviours.lock().insert(cache.to_owned(), behaviour);
    }

    /// Waits until the normal lane of the first cache is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&LaneReport) -> bool) {
        let name = self.caches[0].0.clone();
        self.until_lane(&name, Priority::Normal, wanted).await;
    }

    pub(crate) async fn until_lane(
        &self,
        cache: &str,
        priority: Priority,
        wanted: impl Fn(&LaneReport) -> bool,
    ) {
        let mut latest = None;
        let watching = async {
            let board = Topic::board(REPORTS_BOARD);
            let mut reports = self.broker.subscribe(board, Start::Oldest).await.expect("a board");
            loop {
                for delivery in reports.read(10).await.expect("a report") {
                    let lane = lane_in(&delivery.body, cache, priority);
                    if lane.as_ref().is_some_and(&wanted) {
                        return;
                    }
                    latest = lane;
                }
            }
        };
        let seen = timeout(PATIENCE, watching).await;
        assert!(seen.is_ok(), "{cache} {priority} never got there: {latest:#?}");
    }

    /// The latest report of a lane.
    pub(crate) async fn report(&self, cache: &str, priority: Priority) -> LaneReport {
        let board = Topic::board(REPORTS_BOARD);
        let mut reports = self.broker.subscribe(board, Start::Oldest).await.expect("a board");
        let delivery = reports.read(1).await.expect("a report").remove(0);
        lane_in(&delivery.body, cache, priority).expect("a lane of that name")
    }

    pub(crate) async fn until_purged(&self, cache: &str, count: usize) {
        let watching = async {
            while self.purges(cache).len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, watching).await.expect("it is purged");
    }

    pub(crate) async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Time since it was `before`.
    pub(crate) fn since(&self, before: Duration) -> Duration {
        self.elapsed().saturating_sub(before)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What a cache was purged of, in order.
    pub(crate) fn purges(&self, cache: &str) -> Vec<String> {
        let purges = self.purges.lock();
        purges.iter().filter(|(name, _)| name == cache).map(|(_, what)| what.clone()).collect()
    }

    /// What the caches were purged of, in order.
    pub(crate) fn order(&self) -> Vec<String> {
        self.purges.lock().iter().map(|(cache, what)| format!("{cache} {what}")).collect()
    }

    pub(crate) fn distinct_purges(&self, cache: &str) -> usize {
        self.purges(cache).into_iter().collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn forget_purges(&self) {
        self.purges.lock().clear();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.health.ready()
    }

    /// Why which conditions are not ready.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let conditions = self.health.conditions().into_iter();
        conditions
            .filter_map(|(name, readiness)| match readiness {
                Readiness::NotReady(why) => Some(format!("{name}: {why}")),
                Readiness::Ready | Readiness::Degraded(_) => None,
            })
            .collect()
    }

    /// How the agent's clock stands to those of publishers.
    pub(crate) async fn clocks(&self) -> Vec<ClockReading> {
        let board = Topic::board(REPORTS_BOARD);
        let mut reports = self.broker.subscribe(board, Start::Oldest).await.expect("a board");
        let delivery = reports.read(1).await.expect("a report").remove(0);
        match wire::decode_board(&delivery.body).expect("a report of ours") {
            BoardMessage::Report(report) => report.clocks,
            other => panic!("{other:?}"),
        }
    }

    /// The conditions that are degraded.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let conditions = self.health.conditions().into_iter();
        conditions
            .filter(|(_, readiness)| matches!(readiness, Readiness::Degraded(_)))
            .map(|(name, _)| name)
            .collect()
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
            .expect("metrics as text");
        text
    }
}

async fn append(broker: &Embedded, priority: Priority, body: Bytes) {
    let message = Message { key: None, id: None, body };
    let partition = Partition::default();
    broker.publish(topic(priority), partition, vec![message]).await.expect("a log in memory");
}

fn lane_in(bytes: &[u8], cache: &str, priority: Priority) -> Option<LaneReport> {
    let BoardMessage::Report(report) = wire::decode_board(bytes).expect("a report of ours") else {
        return None;
    };
    let cache = report.caches.into_iter().find(|found| found.cache.as_str() == cache)?;
    cache.lanes.into_iter().find(|lane| lane.priority == priority)
}
