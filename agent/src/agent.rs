//! The agent: the lanes of all its caches, and the reporter that speaks for them.

mod at_work;
mod cache;
mod ground;
mod switch;

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{BoxError, Clock, Crew, CrewError, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{AgentName, CacheName, Sites};
use tokio::sync::Notify;

use self::at_work::{AtWork, Plan, STOP_WITHIN};
use self::ground::Ground;
use crate::board::{BoardReader, PublishersBoard};
use crate::config::AgentConfig;
use crate::metrics::Metrics;
use crate::reporter::Reporter;
use crate::roster::Roster;
use crate::shelf::{self, ShelfError};
use crate::trust::TrustBook;

pub use self::cache::{Cache, Drivers, OpenDriver};
pub use self::switch::CacheSwitch;

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

/// Why an agent could not begin, or not take other caches.
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
    /// It was asked for other caches when it had ended.
    #[error("the agent has ended")]
    Ended,
}

/// An agent, ready to run.
#[derive(Debug)]
pub struct Agent {
    at_work: AtWork,
    first: Plan,
    switch: CacheSwitch,
    reporter: Reporter,
    board: BoardReader,
    trust: TrustBook,
}

impl Agent {
    /// Reads the state folder, making it where it is missing; connects to nothing yet.
    pub fn open(setup: AgentSetup) -> Result<Self, AgentError> {
        let news = Arc::new(Notify::new());
        let ground = Ground {
            instance: shelf::instance(&setup.config.state)?,
            config: setup.config,
            name: setup.name,
            sites: setup.sites,
            broker: setup.broker,
            retention: setup.retention,
            clock: setup.clock,
            health: setup.health,
            metrics: Metrics::register(&setup.metrics),
            news: news.clone(),
            clocks: Arc::default(),
            board: PublishersBoard::default(),
            trust: TrustBook::default(),
            fleet: Arc::default(),
        };
        let roster = Roster::new(news.clone());
        let reporter = Reporter {
            agent: ground.name.clone(),
            instance: ground.instance,
            region: ground.config.region.clone(),
            roster: roster.clone(),
            broker: ground.broker.clone(),
            clock: ground.clock,
            news,
            clocks: ground.clocks.clone(),
            fleet: ground.fleet.clone(),
        };
        let trust = ground.trust.clone();
        let board = BoardReader {
            board: ground.board.clone(),
            broker: ground.broker.clone(),
            trust: trust.clone(),
            metrics: ground.metrics.clone(),
        };
        let (switch, orders) = CacheSwitch::new();
        let at_work = AtWork::new(ground, roster, orders);
        let first = at_work.plan(setup.caches)?;
        Ok(Self { at_work, first, switch, reporter, board, trust })
    }

    /// Whom it believes: to be replaced before it runs, and while it does.
    pub fn trust(&self) -> TrustBook {
        self.trust.clone()
    }

    /// Asks it for other caches while it runs.
    pub fn switch(&self) -> CacheSwitch {
        self.switch.clone()
    }

    /// Purges and reports until stopped; the reporter is the last to leave.
    pub async fn run(self, stop: Stop) -> Result<(), CrewError> {
        let Self { mut at_work, first, reporter, board, .. } = self;
        at_work.begin(first);
        let quiet = Stop::new();
        let mut crew = Crew::new(quiet.clone());
        crew.spawn("reporter", reporter.run(crew.stop()));
        crew.spawn("board", board.run(stop.clone()));
        crew.spawn("lanes", async move {
            let ended = at_work.run(stop).await;
            quiet.request();
            ended.map_err(BoxError::from)
        });
        crew.run(STOP_WITHIN).await
    }
}
