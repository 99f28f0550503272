//! A bus of real processes: any number of `purgebus publisher` and `purgebus agent`, which meet on one real broker and
//! nowhere else.
//!
//! ```text
//! let nats = Nats::start().await;                                   // or Kafka::shared()
//! let mut bus = Bus::on(Wire::nats([nats.url()]));                  // a prefix of its own at that broker
//! bus.start_publisher("publisher-1", "").await;                     // "" or further keys of [publisher]
//! bus.start_agent("edge-1", "eu-west", place.settings(QUICK)).await;
//! bus.registered().await;                                           // every publisher knows every agent; all ready
//! town.open(bus.apis());                                            // load on it, judged by the oracle
//!
//! bus.publishers[0].kill();                 // SIGKILL; .terminate(), .pause(), .resume(), .restart()
//! bus.agents[0].forget();                   // while dead: fresh state; .save() and .put_back(&saved): an older one
//! bus.agents[0].restart().await;            // kept state, same ports
//! bus.agents[0].admin().details("lane").await;                      // why it is not ready
//! bus.publishers[0].api().status(id).await;
//! bus.wire.stream("critical")               // what stream or topic of the broker is meant: for faults behind its back
//! ```
//!
//! Publishers and agents are [`Process`]es, with all that these can. Publishers sign what they say, and agents believe
//! nothing else. Nothing here waits for the broker: start it, stop it or leave it down as the test likes.

mod keys;
mod wire;

use std::ops::{Deref, DerefMut};

use schemas::api::{CacheSummary, Page};

use crate::eventually;
use crate::process::{Home, Process};
use crate::serve::{Api, Settings, site};

pub use keys::Keys;
pub use wire::Wire;

/// Further keys of a cache that make lanes quick enough for tests: passes longer than the slowest rendering of a shop,
/// holes answered in seconds, flushes at once.
pub const QUICK: &str =
    "rebounds = [\"1s\"]\nhole_grace = \"1s\"\nhole_deadline = \"6s\"\nflush_spread = \"0s\"\n";

/// Lanes of every agent and cache: one per priority.
const LANES_OF_A_CACHE: usize = 2;

/// The bus; its processes are dead when it is dropped.
#[derive(Debug)]
pub struct Bus {
    /// The broker, as its processes see it.
    pub wire: Wire,
    /// Its publishers, in the order started.
    pub publishers: Vec<Publisher>,
    /// Its agents, in the order started.
    pub agents: Vec<Agent>,
    /// What its publishers sign with.
    pub keys: Keys,
    regions: Option<&'static [&'static str]>,
}

/// A `purgebus publisher`.
#[derive(Debug)]
pub struct Publisher {
    name: String,
    process: Process,
    api: Api,
}

/// A `purgebus agent`.
#[derive(Debug)]
pub struct Agent {
    name: String,
    process: Process,
    caches: usize,
}

impl Bus {
    /// Without any process yet.
    pub fn on(wire: Wire) -> Self {
        let (publishers, agents) = (Vec::new(), Vec::new());
        Self { wire, publishers, agents, keys: Keys::new(), regions: None }
    }

    /// Publishers sign nothing, and agents believe anyone: for processes started from now on.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { keys: Keys::none(), ..self }
    }

    /// The one site is held in these regions, and not in all. For processes started from now on.
    #[must_use]
    pub fn held_in(self, regions: &'static [&'static str]) -> Self {
        Self { regions: Some(regions), ..self }
    }

    /// Starts a publisher with fresh state. `more` holds further keys of `[publisher]`. It listens when this returns;
    /// whether it answers may take the broker.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start_publisher(&mut self, name: &str, more: &str) -> &mut Publisher {
        let process = Process::start("publisher", self.publisher_file(name, more)).await;
        let api = Api::new(process.home().api, process.admin().clone());
        self.publishers.push(Publisher { name: name.to_owned(), process, api });
        self.publishers.last_mut().expect("just pushed")
    }

    /// Starts an agent with fresh state, for these caches. It listens when this returns; whether it is ready may take
    /// the broker.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start_agent(&mut self, name: &str, region: &str, caches: Settings) -> &mut Agent {
        let count = caches.caches().matches("[[agent.cache]]").count();
        let process = Process::start("agent", self.agent_file(name, region, caches)).await;
        self.agents.push(Agent { name: name.to_owned(), process, caches: count });
        self.agents.last_mut().expect("just pushed")
    }

    /// The file of a publisher on this bus: for [`Process::configure`], where it shall change.
    pub fn publisher_file(
        &self,
        name: &str,
        more: &str,
    ) -> impl Fn(&Home) -> String + Send + Sync + use<> {
        let (shared, key) = (self.shared(), self.keys.of_publisher());
        let (name, more) = (name.to_owned(), more.to_owned());
        move |home| {
            let (Home { api, admin, .. }, journal) = (home, home.journal());
            let journal = journal.display();
            format!(
                "{shared}\n[publisher]\nname = \"{name}\"\nlisten = \"{api}\"\nadmin = \"{admin}\"\n\
                 journal = \"{journal}\"\n{key}\n{more}\n"
            )
        }
    }

    /// The file of an agent on this bus: for [`Process::configure`], where it shall change.
    pub fn agent_file(
        &self,
        name: &str,
        region: &str,
        caches: Settings,
    ) -> impl Fn(&Home) -> String + Send + Sync + use<> {
        let (shared, keys) = (self.shared(), self.keys.of_agent());
        let (name, region) = (name.to_owned(), region.to_owned());
        move |home| {
            let (admin, state, caches) = (home.admin, home.state(), caches.caches());
            let state = state.display();
            format!(
                "{shared}\n[agent]\nname = \"{name}\"\nregion = \"{region}\"\nadmin = \"{admin}\"\n\
                 state = \"{state}\"\n{keys}\n\n{caches}"
            )
        }
    }

    /// What all files of the bus have in common.
    fn shared(&self) -> String {
        format!("grace = \"15s\"\n\n{}\n{}", self.wire.table(), site(self.regions))
    }

    /// How each publisher is asked.
    pub fn apis(&self) -> Vec<Api> {
        self.publishers.iter().map(|publisher| publisher.api.clone()).collect()
    }

    /// Waits until every process is ready and every publisher knows every lane of every agent: who publishes before
    /// that is owed less.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub async fn registered(&self) {
        for process in self.processes() {
            process.ready().await;
        }
        for publisher in &self.publishers {
            for agent in &self.agents {
                let what = format!("{} knows {}", publisher.name, agent.name);
                eventually(&what, async || publisher.lanes_of(&agent.name).await == agent.lanes())
                    .await;
            }
        }
    }

    /// All processes, publishers first.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let publishers = self.publishers.iter().map(|publisher| &publisher.process);
        publishers.chain(self.agents.iter().map(|agent| &agent.process))
    }
}

impl Publisher {
    /// Its name on the bus.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is asked. Works over restarts.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// How many lanes of an agent it knows; none where it does not answer.
    async fn lanes_of(&self, agent: &str) -> usize {
        let page: reqwest::Result<Page<CacheSummary>> = self.api.get("/v1/caches").await;
        let lanes = page.map(|page| page.items).unwrap_or_default();
        lanes.iter().filter(|lane| lane.agent.as_str() == agent).count()
    }
}

impl Agent {
    /// Its name on the bus.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn lanes(&self) -> usize {
        self.caches * LANES_OF_A_CACHE
    }
}

impl Deref for Publisher {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Publisher {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Deref for Agent {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
