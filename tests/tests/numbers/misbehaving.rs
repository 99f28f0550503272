//! A real NATS behind a link that loses, repeats, reorders, fails, and times out publishes that still land. Publisher
//! and agents run in this process, each with a link of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::edge::EdgeConfig;
use agent::driver::{DriverConfig, Endpoint};
use agent::{Agent, AgentConfig, AgentSetup, Cache, CacheConfig, LaneConfig};
use broker_adapter::{Broker, Misbehaving, Misbehaviour, NatsConfig};
use daemon::{Admin as AdminPort, Clock, Health, Stop};
use fastrand::Rng;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Outlet, Publisher, PublisherConfig, PublisherSetup};
use schemas::{Audience, Site, Sites, Trust};
use tempfile::TempDir;
use tests::eventually;
use tests::process::Admin;
use tests::serve::{Api, Reader};
use tests::servers::nats::Nats;
use tests::shop::{Desk, Shop};
use tests::town::{Edge, Place, SLOWEST, Town, inner};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::figures::{Figures, Mended};
use crate::village::PACE;

/// What goes wrong on the publisher's way to the log.
fn speaking() -> Misbehaviour {
    Misbehaviour {
        fail: 0.03,
        time_out: 0.05,
        lose: 0.05,
        duplicate: 0.15,
        reorder: 0.15,
        delay: 0.1,
        delay_max: Duration::from_millis(200),
        ..Misbehaviour::default()
    }
}

/// What goes wrong on an agent's way from the log.
fn hearing() -> Misbehaviour {
    Misbehaviour {
        read_fail: 0.02,
        read_abort: 0.01,
        read_silence: 0.005,
        read_repeat: 0.2,
        read_delay: 0.1,
        delay_max: Duration::from_millis(200),
        ..Misbehaviour::default()
    }
}

const AGENTS: usize = 2;
/// How long the log keeps everything.
const RETENTION: Duration = Duration::from_hours(1);
/// How long people work on such a bus.
const WORK: Duration = Duration::from_secs(15);

/// What publisher and agents of this process share, and their tasks.
#[derive(Debug)]
struct Here {
    sites: Arc<Sites>,
    config: NatsConfig,
    rng: Rng,
    running: JoinSet<()>,
}

impl Here {
    /// A link of its own to the broker.
    fn link(&mut self, misbehaviour: Misbehaviour) -> Arc<dyn Broker> {
        let nats = broker_adapter::Nats::open(&self.config).expect("a good configuration");
        Arc::new(Misbehaving::new(Arc::new(nats), misbehaviour, self.rng.u64(..)))
    }

    async fn admin(&mut self, health: Health, metrics: Arc<Mutex<Registry>>) -> Admin {
        let port = AdminPort::bind(([127, 0, 0, 1], 0).into(), health, metrics).await;
        let port = port.expect("a free port");
        let admin = Admin::at(port.local_addr());
        self.running.spawn(async move { port.run(Stop::new()).await.expect("it serves") });
        admin
    }

    async fn publish(&mut self) -> Api {
        let (health, metrics) = (Health::default(), Arc::<Mutex<Registry>>::default());
        let listen = ([127, 0, 0, 1], 0).into();
        let mut publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig { listen, ..PublisherConfig::default() },
            name: "publisher-0".parse().expect("a name"),
            sites: self.sites.clone(),
            store: JournalStore::in_memory().expect("a journal in memory"),
            outlet: Outlet::Remote(self.link(speaking())),
            trust: Trust::Anyone,
            partitions: 1,
            retention: RETENTION,
            clock: Clock::system(),
            health: health.clone(),
            metrics: metrics.clone(),
        })
        .await
        .expect("a publisher");
        let address = publisher.bind().await.expect("a free port");
        self.running
            .spawn(async move { publisher.run(Stop::new()).await.expect("nobody stopped it") });
        Api::new(address, self.admin(health, metrics).await)
    }

    async fn purge(&mut self, name: &str, edge: SocketAddr, state: &TempDir) -> Admin {
        let (health, metrics) = (Health::default(), Arc::<Mutex<Registry>>::default());
        let url = Endpoint::try_from(format!("http://{edge}")).expect("an address");
        let cache = CacheConfig {
            name: "edge".parse().expect("a name"),
            lane: LaneConfig {
                rebounds: Some(vec![Duration::from_secs(1)]),
                hole_grace: Duration::from_secs(1),
                flush_spread: Duration::ZERO,
                ..LaneConfig::default()
            },
            driver: DriverConfig::Edge(EdgeConfig { url, timeout: Duration::from_secs(2) }),
        };
        let agent = Agent::open(AgentSetup {
            config: AgentConfig { state: state.path().to_owned(), ..AgentConfig::default() },
            name: name.parse().expect("a name"),
            caches: vec![Cache::from(cache)],
            sites: self.sites.clone(),
            broker: self.link(hearing()),
            retention: RETENTION,
            clock: Clock::system(),
            health: health.clone(),
            metrics: metrics.clone(),
        })
        .expect("an agent");
        self.running.spawn(async move { agent.run(Stop::new()).await.expect("nobody stopped it") });
        self.admin(health, metrics).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misbehaving_link_to_a_real_broker_loses_nothing() {
    let nats = Nats::start().await;
    let hosts = ["www.example.com".parse().expect("a host")].into();
    let site = Site { name: "main".parse().expect("a name"), hosts, regions: Audience::All };
    let mut here = Here {
        sites: Arc::new(Sites::new([site])),
        config: NatsConfig { urls: vec![nats.url()], ..NatsConfig::default() },
        rng: Rng::new(),
        running: JoinSet::new(),
    };
    let (desk, state) = (Desk::open(), [(); AGENTS].map(|()| TempDir::new().expect("a folder")));
    let (mut places, mut edges) = (Vec::new(), Vec::new());
    for at in 0..AGENTS {
        let name = format!("agent-{at}");
        let shop = Shop::open(desk.clone(), inner(&name), here.rng.fork(), SLOWEST).await;
        edges.push(Edge::start(shop.address()).await);
        places.push(Place::new(name, shop, Reader::at(edges[at].address())));
    }
    let mut town = Town::found(desk, places, PACE, here.rng.fork()).await;
    let api = here.publish().await;
    let mut admins = Vec::new();
    for (at, edge) in edges.iter().enumerate() {
        admins.push(here.purge(town.places[at].name(), edge.address(), &state[at]).await);
    }
    eventually("all are registered", async || api.lanes("edge").await.len() == 2 * AGENTS).await;
    for admin in &admins {
        eventually("the agents are ready", async || admin.is_ready().await).await;
    }
    let flushes = async || {
        let mut flushes = 0;
        for admin in &admins {
            flushes += admin.count("purgebus_flushes_total", &[]).await;
        }
        flushes
    };
    let first = flushes().await;
    town.open(vec![api.clone()]);
    sleep(WORK).await;
    let rest = town.come_to_rest().await;
    let figures = Figures {
        case: "NATS, a misbehaving link".to_owned(),
        repairs: api.count("purgebus_repairs_total", &[]).await,
        lost_numbers: api.count("purgebus_lost_numbers_total", &[]).await,
        flushes: vec![("any", flushes().await - first)],
    };
    figures.show(&rest);
    rest.is_sound();
    figures.are(Mended::Repaired);
}
