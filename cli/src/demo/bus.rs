//! The demo's bus: publisher, log and agents in one process, in a temporary folder and on free ports.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::Endpoint;
use agent::{Agent, AgentConfig, AgentSetup, Cache};
use anyhow::Context;
use axum::Router;
use broker_adapter::{Embedded, EmbeddedConfig};
use daemon::{BoxError, Clock, Crew, Health, HttpServer, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{
    JournalStore, Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup,
};
use schemas::{Audience, Site, Sites, Trust};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::servers::Server;
use super::stage::{HOST, SITE};

/// Longest wait until all lanes are ready, and until all tasks have ended.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Connections to the origin at once.
const CONNECTIONS_MAX: usize = 1_024;

/// Everything opened. Its fields end in the order in which they stand: the folder last.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(super) crew: Crew,
    /// Real servers beside us, which die with this.
    pub(super) servers: Vec<Server>,
    pub(super) folder: TempDir,
    pub(super) sites: Arc<Sites>,
    pub(super) origin: Endpoint,
    pub(super) publisher: PublisherHandle,
    log: Embedded,
    clock: Clock,
    health: Health,
}

impl Bus {
    /// A publisher, its log and an origin with these pages; no region yet.
    pub(crate) async fn open(pages: Router) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let (health, metrics) = (Health::default(), Arc::new(Mutex::new(Registry::default())));
        let sites = Arc::new(sites()?);
        let mut crew = Crew::new(Stop::new());
        let origin = serve(&mut crew, "origin", pages).await?;

        let path = folder.path().join("journal");
        let store = tokio::task::spawn_blocking(move || JournalStore::open(&path)).await??;
        let clock = Clock::system();
        let log = EmbeddedConfig::default();
        let log = Embedded::open(store.database(), log, move || clock.now())?;
        let publisher = Box::pin(Publisher::open(PublisherSetup {
            config: PublisherConfig::default(),
            name: "demo".parse()?,
            sites: sites.clone(),
            store,
            outlet: Outlet::Shared(log.clone()),
            trust: Trust::Anyone,
            partitions: 1,
            retention: EmbeddedConfig::default().retention,
            clock,
            health: health.clone(),
            metrics,
        }))
        .await?;
        let handle = publisher.handle();
        let running = publisher.run(crew.stop());
        crew.spawn("publisher", async { running.await.map_err(BoxError::from) });
        let origin = endpoint(origin)?;
        let servers = Vec::new();
        Ok(Self { crew, servers, folder, sites, origin, publisher: handle, log, clock, health })
    }

    /// An agent in `region` for these caches.
    pub(super) fn add_agent(&mut self, region: &str, caches: Vec<Cache>) -> anyhow::Result<()> {
        let config = AgentConfig {
            region: region.parse()?,
            state: self.folder.path().join(region),
            ..AgentConfig::default()
        };
        let agent = Agent::open(AgentSetup {
            config,
            name: format!("agent-{region}").parse()?,
            caches,
            sites: self.sites.clone(),
            broker: Arc::new(self.log.clone()),
            retention: EmbeddedConfig::default().retention,
            clock: self.clock,
            health: self.health.clone(),
            metrics: Arc::default(),
        })?;
        let running = agent.run(self.crew.stop());
        self.crew.spawn(region, async { running.await.map_err(BoxError::from) });
        Ok(())
    }

    /// Runs all until `show` is over, which begins once every lane is ready; not at all if it is `asked` to
    /// stop before.
    pub(crate) async fn run<T>(
        self,
        asked: &Stop,
        show: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        // What is declared last is dropped first: whoever is interrupted leaves no server and no folder.
        let folder = self.folder;
        let servers = self.servers;
        let (crew, health) = (self.crew, self.health);
        let stop = crew.stop();
        let show = async {
            let shown = async {
                tokio::select! {
                    begun = timeout(PATIENCE, ready(&health)) => {
                        begun.with_context(|| not_ready(&health))?;
                    }
                    () = asked.requested() => anyhow::bail!("stopped before the demo was ready"),
                }
                show.await
            }
            .await;
            stop.request();
            shown
        };
        let (ended, shown) = tokio::join!(crew.run(PATIENCE), show);
        drop(servers);
        ended?;
        folder.close()?;
        shown
    }
}

/// Serves `router` on a free port.
pub(super) async fn serve(
    crew: &mut Crew,
    name: &str,
    router: Router,
) -> anyhow::Result<SocketAddr> {
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), CONNECTIONS_MAX).await?;
    let address = server.local_addr();
    crew.spawn(name, server.run(router, crew.stop()));
    Ok(address)
}

/// Where a server listens, as drivers are told.
pub(super) fn endpoint(address: SocketAddr) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::try_from(format!("http://{address}"))?)
}

fn sites() -> anyhow::Result<Sites> {
    let hosts: BTreeSet<_> = [HOST.parse()?].into();
    Ok(Sites::new([Site { name: SITE.parse()?, hosts, regions: Audience::All }]))
}

async fn ready(health: &Health) {
    while !health.ready() {
        sleep(Duration::from_millis(20)).await;
    }
}

fn not_ready(health: &Health) -> String {
    format!("the demo did not get ready: {:?}", health.conditions())
}
