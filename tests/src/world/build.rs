//! From a plan to a world that runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Misbehaving, Misbehaviour};
use daemon::{Clock, Stop};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use publisher::{JournalStore, Outlet};
use schemas::{Audience, Site, Sites};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::World;
use super::agent_process::AgentProcess;
use super::cache::Cache;
use super::desk::Desk;
use super::history::History;
use super::origin::Origin;
use super::page::{HOST, Page, SITE};
use super::plan::{Plan, RegionPlan};
use super::publisher_process::PublisherProcess;
use super::remote::Remote;
use super::tally::{Side, Tally, Watched};

/// So many readers at every cache.
const READERS: u32 = 3;
/// When every world begins.
const BEGINNING: SignedDuration = SignedDuration::from_hours(24 * 365 * 50);

/// The log, and whoever stands before it.
struct Log {
    outlet: Outlet,
    broker: Arc<dyn Broker>,
    misbehaving: Option<(Arc<Misbehaving>, Arc<Remote>)>,
    history: Option<Arc<History>>,
    tally: Arc<Tally>,
}

impl Plan {
    /// Starts everything, and waits until every lane is ready and every cache is full.
    ///
    /// # Panics
    /// When the plan names what is not there, or a lane never gets ready.
    pub async fn start(self) -> World {
        let mut rng = Rng::with_seed(self.seed);
        let beginning = Timestamp::UNIX_EPOCH.checked_add(BEGINNING).expect("a time");
        let clock = Clock::following(beginning);
        let origin = Origin::new(Page::all(self.pages), self.longest_fetch, rng.fork());
        let origin = Arc::new(origin);
        let sites = Arc::new(Sites::new([site(&self.regions)]));
        let folder = self.journal_on_disk.then(|| tempfile::tempdir().expect("a folder"));
        let store = match &folder {
            Some(folder) => JournalStore::open(folder.path()).expect("a journal on disk"),
            None => JournalStore::in_memory().expect("a journal in memory"),
        };
        let log = if self.changes {
            Log::that_changes(clock)
        } else {
            Log::new(&store, clock, self.misbehaviour, rng.u64(..))
        };
        let mut publisher = PublisherProcess::new(store, log.outlet, sites.clone(), clock);
        publisher.set_journal_bytes(self.journal_bytes);
        let desk = Arc::new(Desk::new(origin.clone(), publisher.door()));
        let mut links = BTreeMap::new();
        let mut agents = Vec::new();
        for region in &self.regions {
            let nothing = Misbehaviour::default();
            let link = Arc::new(Misbehaving::new(log.broker.clone(), nothing, rng.u64(..)));
            links.insert(region.name.clone(), link.clone());
            for agent in &region.agents {
                let surroundings = (sites.clone(), link.clone() as Arc<dyn Broker>, clock);
                agents.push(AgentProcess::new(agent, &region.name, &origin, surroundings));
            }
        }
        publisher.start().await;
        agents.iter_mut().for_each(AgentProcess::start);
        let (broker, remote) = log.misbehaving.unzip();
        let mut world = World {
            origin,
            desk,
            publisher,
            agents,
            broker,
            history: log.history,
            remote,
            journal: folder,
            links,
            tally: log.tally,
            rng,
            editing: Stop::new(),
            editors: JoinSet::new(),
            reading: Stop::new(),
            readers: JoinSet::new(),
            watch: JoinSet::new(),
        };
        world.until_ready().await;
        world.read_everything().await;
        world.open_to_the_public(self.reads_every);
        world
    }
}

impl World {
    fn open_to_the_public(&mut self, reads_every: Duration) {
        let caches: Vec<Arc<Cache>> = self.caches().cloned().collect();
        for cache in caches {
            for _ in 0..READERS {
                let (cache, pages) = (cache.clone(), self.origin.pages().to_vec());
                let (rng, stop) = (self.rng.fork(), self.reading.clone());
                self.readers.spawn(read(cache, pages, reads_every * READERS, rng, stop));
            }
        }
        self.watch.spawn(self.desk.clone().watch());
    }
}

impl Log {
    /// Within the journal's own store, or at a broker of its own if that shall misbehave.
    fn new(
        store: &JournalStore,
        clock: Clock,
        misbehaviour: Option<Misbehaviour>,
        seed: u64,
    ) -> Self {
        let tally = Arc::new(Tally::default());
        let (config, now) = (EmbeddedConfig::default(), move || clock.now());
        let Some(misbehaviour) = misbehaviour else {
            let shared = Embedded::open(store.database(), config, now).expect("a log");
            let broker = Arc::new(shared.clone());
            let outlet = Outlet::Shared(shared);
            return Self { outlet, broker, misbehaving: None, history: None, tally };
        };
        let remote = Arc::new(Remote::new(clock));
        let watched = |inner, side| Watched { inner, side, tally: tally.clone() };
        let below = Arc::new(watched(remote.clone(), Side::Below));
        let misbehaving = Arc::new(Misbehaving::new(below, misbehaviour, seed));
        let broker: Arc<dyn Broker> = Arc::new(watched(misbehaving.clone(), Side::Above));
        let outlet = Outlet::Remote(broker.clone());
        Self { outlet, broker, misbehaving: Some((misbehaving, remote)), history: None, tally }
    }

    /// At a broker of its own where it can be changed.
    fn that_changes(clock: Clock) -> Self {
        let history = Arc::new(History::new(clock));
        let (broker, tally) = (history.clone() as Arc<dyn Broker>, Arc::default());
        let outlet = Outlet::Remote(broker.clone());
        Self { outlet, broker, misbehaving: None, history: Some(history), tally }
    }
}

fn site(regions: &[RegionPlan]) -> Site {
    let regions = regions.iter().map(|region| region.name.parse().expect("a name"));
    Site {
        name: SITE.parse().expect("a name"),
        hosts: [HOST.parse().expect("a host")].into(),
        regions: Audience::Regions(regions.collect()),
    }
}

/// Reads pages at random until stopped.
async fn read(cache: Arc<Cache>, pages: Vec<Page>, every: Duration, mut rng: Rng, stop: Stop) {
    while !stop.is_requested() {
        sleep(every.mul_f64(2.0 * rng.f64())).await;
        let page = rng.choice(&pages).expect("a world has pages");
        cache.read(page).await;
    }
}
