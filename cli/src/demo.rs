//! The demo: an origin whose pages change, two regions of caching edges, a publisher and agents, in one process.
//!
//! ```text
//! editor --commit--> stage (oracle) <--judge-- readers
//!    |                 ^                         |
//!    +--> publisher --> log --> agents --> edges <+--> origin
//!    +--> one edge, purged by hand once <---------+
//! ```

mod editor;
mod origin;
mod readers;
mod screen;
mod stage;
mod verdict;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::edge::proxy::{Proxy, ProxyConfig};
use agent::driver::edge::{Edge, EdgeConfig};
use agent::driver::{DriverConfig, Endpoint, Surroundings};
use agent::{Agent, AgentConfig, AgentSetup, Cache, CacheConfig, LaneConfig};
use anyhow::{Context, anyhow};
use broker_adapter::{Embedded, EmbeddedConfig};
use daemon::{BoxError, Clock, Crew, Health, HttpServer, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{
    JournalStore, Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup,
};
use schemas::{Audience, Site, Sites};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use self::editor::{Changes, Editor};
use self::readers::{Place, Readers};
use self::screen::Screen;
use self::stage::{HOST, SITE, Stage};
pub(crate) use self::verdict::Verdict;
use self::verdict::{PlaceVerdict, RegionVerdict};

/// The regions on stage.
const REGIONS: [&str; 2] = ["eu-west", "us-east"];
/// Caching edges in each of them.
const EDGES_PER_REGION: usize = 2;
/// The edge that is purged by hand.
const NAIVE: &str = "naive";
/// Longest wait until all lanes are ready, and until all tasks have ended.
const PATIENCE: Duration = Duration::from_mins(2);
/// Connections to the origin at once.
const CONNECTIONS_MAX: usize = 1_024;

/// The demo with everything opened; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Demo {
    folder: TempDir,
    crew: Crew,
    health: Health,
    stage: Arc<Stage>,
    publisher: PublisherHandle,
    places: Vec<Place>,
    naive: Arc<Edge>,
}

impl Demo {
    /// Opens everything in a temporary folder and on free ports.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (health, metrics) = (Health::default(), Arc::new(Mutex::new(Registry::default())));
        let stage = Arc::new(Stage::new());
        let sites = Arc::new(sites()?);
        let mut crew = Crew::new(Stop::new());
        let origin = HttpServer::bind(([127, 0, 0, 1], 0).into(), CONNECTIONS_MAX).await?;
        let origin_url = endpoint(origin.local_addr())?;
        crew.spawn("origin", origin.run(origin::router(stage.clone()), crew.stop()));

        let path = folder.path().join("journal");
        let store = tokio::task::spawn_blocking(move || JournalStore::open(&path)).await??;
        let clock = Clock::system();
        let log = EmbeddedConfig::default();
        let log = Embedded::open(store.database(), log, move || clock.now())?;
        let publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig::default(),
            name: "demo".parse()?,
            sites: sites.clone(),
            store,
            outlet: Outlet::Shared(log.clone()),
            partitions: 1,
            retention: EmbeddedConfig::default().retention,
            clock,
            health: health.clone(),
            metrics: metrics.clone(),
        })
        .await?;
        let handle = publisher.handle();
        let running = publisher.run(crew.stop());
        crew.spawn("publisher", async { running.await.map_err(BoxError::from) });

        let mut places = Vec::new();
        for region in REGIONS {
            let mut caches = Vec::new();
            for edge in 1..=EDGES_PER_REGION {
                let address = edge_at(&mut crew, &origin_url, &sites).await?;
                caches.push(cache(&format!("edge-{edge}"), address)?);
                places.push(Place { name: region.to_owned(), address });
            }
            let config = AgentConfig {
                region: region.parse()?,
                state: folder.path().join(region),
                ..AgentConfig::default()
            };
            let agent = Agent::open(AgentSetup {
                config,
                name: format!("agent-{region}").parse()?,
                caches,
                sites: sites.clone(),
                broker: Arc::new(log.clone()),
                retention: EmbeddedConfig::default().retention,
                clock,
                health: health.clone(),
                metrics: Arc::default(),
            })?;
            let running = agent.run(crew.stop());
            crew.spawn(region, async { running.await.map_err(BoxError::from) });
        }
        let address = edge_at(&mut crew, &origin_url, &sites).await?;
        places.push(Place { name: NAIVE.to_owned(), address });
        let naive = Arc::new(by_hand(address, sites)?);
        Ok(Self { folder, crew, health, stage, publisher: handle, places, naive })
    }

    /// Changes pages for so long, waits until all is final, and judges.
    pub(crate) async fn run(self, lasts: Duration) -> anyhow::Result<Verdict> {
        let Self { folder, crew, health, stage, publisher, places, naive } = self;
        let stop = crew.stop();
        let show = async {
            let shown = play(lasts, &health, &stage, &publisher, &places, naive).await;
            stop.request();
            shown
        };
        let (ended, verdict) = tokio::join!(crew.run(PATIENCE), show);
        ended?;
        folder.close()?;
        verdict
    }
}

/// The acts: all lanes ready; pages change while they are read; all is quiet and every page is read once more.
async fn play(
    lasts: Duration,
    health: &Health,
    stage: &Arc<Stage>,
    publisher: &PublisherHandle,
    places: &[Place],
    naive: Arc<Edge>,
) -> anyhow::Result<Verdict> {
    timeout(PATIENCE, ready(health)).await.with_context(|| not_ready(health))?;
    let changes = Arc::new(Changes::default());
    let readers = Readers::new(stage.clone(), places.to_vec())?;
    let editor = Editor {
        stage: stage.clone(),
        publisher: publisher.clone(),
        naive,
        changes: changes.clone(),
    };
    let screen = Screen {
        stage: stage.clone(),
        publisher: publisher.clone(),
        changes: changes.clone(),
        lasts,
    };
    let editing = Stop::new();
    let mut crew = Crew::new(Stop::new());
    let all = crew.stop();
    crew.spawn("readers", readers.clone().run(all.clone()));
    crew.spawn("screen", screen.run(all.clone()));
    let (stop_editing, done) = (editing.clone(), all.clone());
    crew.spawn("editor", async move {
        let ended = editor.run(stop_editing).await;
        // A last round of reads with everything final.
        sleep(origin::LONGEST_FETCH).await;
        done.request();
        ended
    });
    crew.spawn("curtain", async move {
        sleep(lasts).await;
        editing.request();
        Ok(())
    });
    crew.run(PATIENCE).await?;
    judge(&readers, stage, publisher, &changes).await
}

async fn judge(
    readers: &Readers,
    stage: &Stage,
    publisher: &PublisherHandle,
    changes: &Changes,
) -> anyhow::Result<Verdict> {
    let old = readers.old_pages().await.map_err(|error| anyhow!(error))?;
    let left_old = |name: &str| {
        old.iter().filter(|(place, _)| place.name == name).map(|(_, count)| count).sum()
    };
    let verdict = |name: &str| PlaceVerdict::new(name, stage.reads(name), left_old(name));
    let places: Vec<_> = REGIONS.iter().map(|region| verdict(region)).collect();
    let (changes, finished) = changes.counts();
    Ok(Verdict {
        changes,
        finished,
        lost: places.iter().map(|place| place.pages_left_old).sum(),
        stale_after_final: places.iter().map(|place| place.stale_after_final).sum(),
        regions: publisher.regions().iter().map(RegionVerdict::from).collect(),
        places,
        naive: verdict(NAIVE),
    })
}

async fn ready(health: &Health) {
    while !health.ready() {
        sleep(Duration::from_millis(20)).await;
    }
}

fn not_ready(health: &Health) -> String {
    format!("the demo did not get ready: {:?}", health.conditions())
}

fn sites() -> anyhow::Result<Sites> {
    let hosts: BTreeSet<_> = [HOST.parse()?].into();
    Ok(Sites::new([Site { name: SITE.parse()?, hosts, regions: Audience::All }]))
}

fn endpoint(address: SocketAddr) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::try_from(format!("http://{address}"))?)
}

async fn edge_at(
    crew: &mut Crew,
    origin: &Endpoint,
    sites: &Arc<Sites>,
) -> anyhow::Result<SocketAddr> {
    let proxy = Proxy::bind(ProxyConfig::new(origin.clone(), sites.clone())).await?;
    let address = proxy.local_addr();
    crew.spawn(format!("edge {address}"), proxy.run(crew.stop()));
    Ok(address)
}

fn driver(address: SocketAddr) -> anyhow::Result<EdgeConfig> {
    Ok(EdgeConfig { url: endpoint(address)?, timeout: Duration::from_secs(5) })
}

/// A cache whose later passes come after the origin's longest fetch, not after that of an origin anywhere.
fn cache(name: &str, address: SocketAddr) -> anyhow::Result<Cache> {
    let lane = LaneConfig {
        rebounds: Some(vec![origin::LONGEST_FETCH / 2, 2 * origin::LONGEST_FETCH]),
        starts_empty: true,
        ..LaneConfig::default()
    };
    let driver = DriverConfig::Edge(driver(address)?);
    Ok(Cache::from(CacheConfig { name: name.parse()?, lane, driver }))
}

fn by_hand(address: SocketAddr, sites: Arc<Sites>) -> anyhow::Result<Edge> {
    let surroundings = Surroundings {
        sites,
        region: NAIVE.parse()?,
        agent: NAIVE.parse()?,
        cache: NAIVE.parse()?,
        priority: schemas::Priority::Normal,
        instance: uuid::Uuid::new_v4(),
    };
    Ok(Edge::new(&driver(address)?, &surroundings))
}
