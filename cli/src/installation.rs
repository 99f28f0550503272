//! The small installation: log, publisher and agent in one process, on one database.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use agent::{Agent, AgentSetup, Cache};
use anyhow::Context;
use broker_adapter::{Broker, Embedded, EmbeddedConfig};
use daemon::{Admin, BoxError, Clock, Crew, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Outlet, Publisher, PublisherError, PublisherSetup};

use crate::config::{BrokerConfig, Config};
use crate::exit::{Exit, Failure};

/// Everything opened and every port bound; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Installation {
    api: SocketAddr,
    publisher: Publisher,
    agent: Agent,
    admins: Vec<Admin>,
}

impl Installation {
    /// Opens all parts and then binds their ports, so that what cannot be had is an error before anything runs.
    pub(crate) async fn open(config: Config) -> Result<Self, Failure> {
        let clock = Clock::system();
        let health = Health::default();
        let metrics = Arc::new(Mutex::new(Registry::default()));
        health.register(&mut metrics.lock());
        let admin_ports = admin_ports(&config);
        let sites = Arc::new(config.sites);
        let (store, log) = open_log(&config.publisher.journal, &config.broker, clock)
            .await
            .map_err(|why| Failure::new(Exit::Failed, why))?;
        let broker: Arc<dyn Broker> = Arc::new(log.clone());
        let mut publisher = Publisher::open(PublisherSetup {
            config: config.publisher,
            name: config.publisher_name,
            sites: sites.clone(),
            store,
            outlet: Outlet::Shared(log),
            partitions: 1,
            retention: config.broker.retention,
            clock,
            health: health.clone(),
            metrics: metrics.clone(),
        })
        .await
        .map_err(failure)?;
        let agent = Agent::open(AgentSetup {
            config: config.agent,
            name: config.agent_name,
            caches: config.caches.into_iter().map(Cache::from).collect(),
            sites,
            broker,
            clock,
            health: health.clone(),
            metrics: metrics.clone(),
        })
        .map_err(Failure::failed)?;
        let mut admins = Vec::new();
        for port in admin_ports {
            let admin = Admin::bind(port, health.clone(), metrics.clone()).await;
            admins.push(admin.map_err(Failure::failed)?);
        }
        let api = publisher.bind().await.map_err(Failure::failed)?;
        Ok(Self { api, publisher, agent, admins })
    }

    /// Where it listens, by what for.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        let admins = self.admins.iter().map(|admin| ("admin", admin.local_addr()));
        std::iter::once(("api", self.api)).chain(admins).collect()
    }

    /// Sets all parts to work, until `stop`.
    pub(crate) fn crew(self, stop: Stop) -> Crew {
        let mut crew = Crew::new(stop);
        let stop = crew.stop();
        for admin in self.admins {
            crew.spawn(format!("admin {}", admin.local_addr()), admin.run(stop.clone()));
        }
        let publisher = self.publisher.run(stop.clone());
        crew.spawn("publisher", async { publisher.await.map_err(BoxError::from) });
        let agent = self.agent.run(stop);
        crew.spawn("agent", async { agent.await.map_err(BoxError::from) });
        crew
    }
}

/// One admin server where both parts name the same port, else two that show the same.
fn admin_ports(config: &Config) -> Vec<SocketAddr> {
    let mut ports = vec![config.publisher.admin, config.agent.admin];
    ports.dedup();
    ports
}

/// A tokens file that cannot be used is a mistake of the configuration.
fn failure(error: PublisherError) -> Failure {
    let exit = match error {
        PublisherError::Tokens(_) | PublisherError::Exposed(_) => Exit::WrongUsage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// The journal's store with the log in it.
async fn open_log(
    folder: &Path,
    config: &BrokerConfig,
    clock: Clock,
) -> anyhow::Result<(JournalStore, Embedded)> {
    let folder = folder.to_owned();
    let limits = EmbeddedConfig {
        retention: config.retention,
        retention_bytes: config.retention_bytes.as_u64(),
    };
    let opened = tokio::task::spawn_blocking(move || {
        let store = JournalStore::open(&folder)?;
        let log = Embedded::open(store.database(), limits, move || clock.now());
        Ok((store, log.context("cannot open the embedded log")?))
    });
    opened.await?
}
