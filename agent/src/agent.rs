//! The agent: the lanes of all its caches, and the reporter that speaks for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Clock, Crew, CrewError, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{AgentName, CacheName, Priority, Sites};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::board::PublishersBoard;
use crate::clocks::Clocks;

use crate::config::{AgentConfig, CacheConfig, LaneConfig};
use crate::driver::{self, Driver, Surroundings};
use crate::lane::{Budget, Lane, LaneSetup};
use crate::letter_folder::LetterFolder;
use crate::machine::Purpose;
use crate::metrics::Metrics;
use crate::order::delays_after;
use crate::progress::Progress;
use crate::rebound::FENCED_REBOUND;
use crate::reporter::{Fleet, Registration, ReportedCache, Reporter};
use crate::shelf::{self, Shelf, ShelfError};
use crate::standing_orders::Addressee;

/// On a stop, all lanes together have this long: what is under way lands, cursors are stored.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Makes a driver with connections of its own; called once per lane.
pub type OpenDriver = Box<dyn Fn(&Surroundings) -> Arc<dyn Driver> + Send + Sync>;

/// A cache and how it is purged.
pub struct Cache {
    /// Its name on this agent.
    pub name: CacheName,
    /// How its lanes behave.
    pub lane: LaneConfig,
    /// The kind of driver, for people.
    pub kind: String,
    /// Delays of the later passes where the configuration names none.
    pub rebounds: Vec<Duration>,
    /// Key templates in force, `name=template`: what is added later is flushed.
    pub templates: BTreeSet<String>,
    /// Its driver.
    pub open: OpenDriver,
}

impl From<CacheConfig> for Cache {
    fn from(config: CacheConfig) -> Self {
        let CacheConfig { name, lane, driver } = config;
        Self {
            name,
            lane,
            kind: driver.kind().to_owned(),
            rebounds: driver.rebounds(),
            templates: driver.templates(),
            open: Box::new(move |surroundings| driver::open(&driver, surroundings)),
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What an agent needs.
#[derive(Debug)]
pub struct AgentSetup {
    /// Its configuration.
    pub config: AgentConfig,
    /// Its name on the bus.
    pub name: AgentName,
    /// Its caches; `after` names another of them.
    pub caches: Vec<Cache>,
    /// All sites of the installation.
    pub sites: Arc<Sites>,
    /// Where it listens and reports.
    pub broker: Arc<dyn Broker>,
    /// How long the broker keeps a message: lines are remembered longer.
    pub retention: Duration,
    /// The wall clock.
    pub clock: Clock,
    /// Where each lane has a condition.
    pub health: Health,
    /// Where its metrics are registered.
    pub metrics: Arc<Mutex<Registry>>,
}

/// Why an agent could not begin.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its state folder.
    #[error("the state folder is not usable")]
    State(#[from] ShelfError),
    /// A cache comes after one that does not exist.
    #[error("cache {cache} comes after {inner}, which is not a cache of this agent")]
    UnknownInner {
        /// The outer cache.
        cache: CacheName,
        /// The inner one.
        inner: CacheName,
    },
}

/// What agents of one process that follow each other show of themselves in its metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AgentMetrics(Metrics);

impl AgentMetrics {
    /// Whoever ran before has ended: what is true only of a lane at work is shown no more.
    pub fn forget_lanes(&self) {
        self.0.forget_lanes();
    }
}

/// An agent, ready to run.
#[derive(Debug)]
pub struct Agent {
    metrics: Metrics,
    lanes: Vec<LaneSetup>,
    reporter: Reporter,
    registered: watch::Receiver<Registration>,
    board: PublishersBoard,
    broker: Arc<dyn Broker>,
}

/// What all lanes of an agent have in common.
struct Shared {
    instance: Uuid,
    shown: HashMap<(CacheName, Priority), Arc<Progress>>,
    metrics: Metrics,
    clocks: Arc<Clocks>,
    board: PublishersBoard,
    fleet: Arc<Fleet>,
}

impl Agent {
    /// Reads the state folder, making it where it is missing; connects to nothing yet.
    pub fn open(setup: AgentSetup) -> Result<Self, AgentError> {
        let metrics = Metrics::register(&setup.metrics);
        Self::open_with(setup, metrics)
    }

    /// The same, in the place of an agent that ran before.
    pub fn reopen(setup: AgentSetup, metrics: AgentMetrics) -> Result<Self, AgentError> {
        Self::open_with(setup, metrics.0)
    }

    /// For the agent that comes after this one in the process.
    pub fn metrics(&self) -> AgentMetrics {
        AgentMetrics(self.metrics.clone())
    }

    fn open_with(setup: AgentSetup, metrics: Metrics) -> Result<Self, AgentError> {
        let instance = shelf::instance(&setup.config.state)?;
        let news = Arc::new(Notify::new());
        let shown: HashMap<(CacheName, Priority), Arc<Progress>> = setup
            .caches
            .iter()
            .flat_map(|cache| Priority::ALL.map(|priority| (cache.name.clone(), priority)))
            .map(|lane| (lane.clone(), Arc::new(Progress::new(lane.1, news.clone()))))
            .collect();
        let shared = Shared {
            instance,
            shown,
            metrics: metrics.clone(),
            clocks: Arc::default(),
            board: PublishersBoard::default(),
            fleet: Arc::default(),
        };
        let mut lanes = Vec::new();
        for cache in &setup.caches {
            for priority in Priority::ALL {
                lanes.push(lane(&setup, cache, priority, &shared)?);
            }
        }
        let caches = setup.caches.iter().map(|cache| ReportedCache {
            cache: cache.name.clone(),
            driver: cache.kind.clone(),
            sites: cache.lane.sites.clone().map(|sites| sites.into_iter().collect()),
            lanes: Priority::ALL
                .iter()
                .filter_map(|priority| shared.shown.get(&(cache.name.clone(), *priority)).cloned())
                .collect(),
        });
        let (registered, wait) = watch::channel(Registration::Waiting(None));
        let reporter = Reporter {
            agent: setup.name,
            instance,
            region: setup.config.region,
            caches: caches.collect(),
            broker: setup.broker.clone(),
            clock: setup.clock,
            news,
            clocks: shared.clocks.clone(),
            fleet: shared.fleet.clone(),
            registered,
        };
        let board = shared.board.clone();
        Ok(Self { metrics, lanes, reporter, registered: wait, board, broker: setup.broker })
    }

    /// Purges and reports until stopped; the reporter is the last to leave.
    pub async fn run(self, stop: Stop) -> Result<(), CrewError> {
        let mut lanes = Crew::new(stop);
        for setup in self.lanes {
            let name = format!("lane {}", setup.name);
            lanes.spawn(name, Lane::run(setup, self.registered.clone(), lanes.stop()));
        }
        lanes.spawn("board", self.board.read(self.broker, lanes.stop()));
        let quiet = Stop::new();
        let mut crew = Crew::new(quiet.clone());
        crew.spawn("reporter", self.reporter.run(crew.stop()));
        crew.spawn("lanes", async move {
            let ended = lanes.run(STOP_WITHIN).await;
            quiet.request();
            ended.map_err(BoxError::from)
        });
        crew.run(STOP_WITHIN).await
    }
}

/// The delays of a cache's later passes: those of an outer one end after those of the inner one. Chains are at most
/// so long.
fn rebounds(caches: &[Cache], cache: &Cache, longest: usize) -> Vec<Duration> {
    let own = cache.lane.rebounds.clone().unwrap_or_else(|| cache.rebounds.clone());
    let inner = cache.lane.after.as_ref().filter(|_| longest > 0);
    match inner.and_then(|inner| caches.iter().find(|cache| cache.name == *inner)) {
        Some(inner) => delays_after(&rebounds(caches, inner, longest - 1), own),
        None => own,
    }
}

fn lane(
    setup: &AgentSetup,
    cache: &Cache,
    priority: Priority,
    shared: &Shared,
) -> Result<LaneSetup, AgentError> {
    let of = |name: &CacheName| shared.shown.get(&(name.clone(), priority)).cloned();
    let inner = match &cache.lane.after {
        Some(inner) => Some(of(inner).ok_or_else(|| AgentError::UnknownInner {
            cache: cache.name.clone(),
            inner: inner.clone(),
        })?),
        None => None,
    };
    let mut config = cache.lane.clone();
    if priority == Priority::Critical {
        config.batch.wait = Duration::ZERO;
    }
    let held = setup.sites.iter().filter(|site| {
        let configured = config.sites.as_ref().is_none_or(|sites| sites.contains(&site.name));
        configured && site.regions.includes(&setup.config.region)
    });
    let surroundings = Surroundings {
        sites: Arc::new(Sites::new(held.cloned())),
        region: setup.config.region.clone(),
        agent: setup.name.clone(),
        cache: cache.name.clone(),
        priority,
        instance: shared.instance,
    };
    let name = format!("{}.{priority}", cache.name);
    Ok(LaneSetup {
        purpose: Purpose {
            region: setup.config.region.clone(),
            sites: setup.sites.clone(),
            priority,
            rebounds: rebounds(&setup.caches, cache, setup.caches.len()),
            fenced_rebound: cache.lane.rebounds.is_none().then_some(FENCED_REBOUND),
            config,
            templates: cache.templates.clone(),
            ready_fail_open_after: setup.config.ready_fail_open_after,
            retention: setup.retention,
        },
        driver: (cache.open)(&surroundings),
        broker: setup.broker.clone(),
        shelf: Shelf::new(&setup.config.state, &cache.name, priority),
        letters: LetterFolder::new(&setup.config.state, &cache.name, priority),
        progress: of(&cache.name)
            .unwrap_or_else(|| Arc::new(Progress::new(priority, Arc::new(Notify::new())))),
        inner,
        clock: setup.clock,
        condition: setup.health.condition(format!("lane {name}")),
        budget: Budget::new(setup.config.stale_budget, setup.config.ready_backlog_max),
        metrics: shared.metrics.of_lane(&cache.name, priority),
        clocks: shared.clocks.clone(),
        board: shared.board.clone(),
        addressee: addressee(setup, cache),
        fleet: shared.fleet.clone(),
        jitter: fastrand::Rng::new(),
        name,
    })
}

/// Whom an order names that concerns the lanes of `cache`.
fn addressee(setup: &AgentSetup, cache: &Cache) -> Addressee {
    let mut behind = BTreeSet::new();
    let mut next = cache.lane.after.as_ref();
    // A circle is no order; it ends where it began.
    while let Some(inner) = next.filter(|inner| behind.insert((*inner).clone())) {
        let found = setup.caches.iter().find(|cache| cache.name == *inner);
        next = found.and_then(|found| found.lane.after.as_ref());
    }
    Addressee {
        region: setup.config.region.clone(),
        agent: setup.name.clone(),
        cache: cache.name.clone(),
        behind,
    }
}
