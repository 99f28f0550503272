//! What a process runs: publisher, agent, or both, on one log. Everything is opened before anything runs.

mod broker;
mod parts;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;

use agent::Agent;
use daemon::{Admin, BoxError, Clock, Crew, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Publisher};

use self::parts::Surroundings;
use crate::config::Config;
use crate::exit::Failure;

pub(crate) use self::broker::connect;
pub(crate) use self::reload::{Changeable, Reloader};

/// Everything opened and every port bound; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Installation {
    api: Option<SocketAddr>,
    publisher: Option<Publisher>,
    agent: Option<Agent>,
    admins: Vec<Admin>,
    journal: Option<JournalStore>,
}

impl Installation {
    /// Opens the parts of the role and then binds their ports, so that what cannot be had is an error before
    /// anything runs. A broker that cannot be reached is none: it may come.
    pub(crate) async fn open(config: Config) -> Result<Self, Failure> {
        let admin_ports = admin_ports(&config);
        let Config { broker, sites, publisher, agent, signatures, .. } = config;
        let surroundings = Surroundings {
            sites: Arc::new(sites),
            clock: Clock::system(),
            health: Health::default(),
            metrics: Arc::new(Mutex::new(Registry::default())),
        };
        surroundings.health.register(&mut surroundings.metrics.lock());
        let journal = publisher.as_ref().map(|part| part.config.journal.clone());
        let log = broker::open(&broker, journal, &surroundings).await?;
        let mut publisher = match publisher {
            Some(part) => {
                let key = signatures.key;
                Some(parts::publisher(part, key, &broker, &log, &surroundings).await?)
            }
            None => None,
        };
        let agent =
            agent.map(|part| parts::agent(part, &broker, &log, &surroundings)).transpose()?;
        if let Some(agent) = &agent {
            agent.trust().replace(signatures.trust);
        }
        let mut admins = Vec::new();
        for port in admin_ports {
            let Surroundings { health, metrics, .. } = &surroundings;
            let admin = Admin::bind(port, health.clone(), metrics.clone()).await;
            admins.push(admin.map_err(Failure::failed)?);
        }
        let api = match &mut publisher {
            Some(publisher) => Some(publisher.bind().await.map_err(Failure::failed)?),
            None => None,
        };
        Ok(Self { api, publisher, agent, admins, journal: log.store })
    }

    /// Where it listens, by what for.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        let api = self.api.map(|api| ("api", api));
        let admins = self.admins.iter().map(|admin| ("admin", admin.local_addr()));
        api.into_iter().chain(admins).collect()
    }

    /// What can change while it runs.
    pub(crate) fn changeable(&self) -> Changeable {
        Changeable {
            tokens: self.publisher.as_ref().and_then(Publisher::tokens),
            caches: self.agent.as_ref().map(Agent::switch),
            trust: self.agent.as_ref().map(Agent::trust),
        }
    }

    /// The journal, where there is one: to be told when all that uses it has ended in order.
    pub(crate) fn journal(&self) -> Option<JournalStore> {
        self.journal.clone()
    }

    /// Sets all parts to work, until `stop`.
    pub(crate) fn crew(self, stop: Stop) -> Crew {
        let mut crew = Crew::new(stop);
        let stop = crew.stop();
        for admin in self.admins {
            crew.spawn(format!("admin {}", admin.local_addr()), admin.run(stop.clone()));
        }
        if let Some(publisher) = self.publisher {
            let publisher = publisher.run(stop.clone());
            crew.spawn("publisher", async { publisher.await.map_err(BoxError::from) });
        }
        if let Some(agent) = self.agent {
            let agent = agent.run(stop);
            crew.spawn("agent", async { agent.await.map_err(BoxError::from) });
        }
        crew
    }
}

/// One admin server where both parts name the same port, else two that show the same.
fn admin_ports(config: &Config) -> Vec<SocketAddr> {
    let publisher = config.publisher.as_ref().map(|part| part.config.admin);
    let agent = config.agent.as_ref().map(|part| part.config.admin);
    let mut ports: Vec<_> = publisher.into_iter().chain(agent).collect();
    ports.dedup();
    ports
}
