//! What a process runs: publisher, agent, or both, on one log. Everything is opened before anything runs.

mod broker;
mod parts;
mod ports;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;

use agent::Agent;
use daemon::{BoxError, Clock, Crew, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Publisher};

use self::parts::Surroundings;
use self::ports::{AdminPort, Ports};
use crate::config::Config;
use crate::exit::Failure;

pub(crate) use self::broker::connect;
pub(crate) use self::reload::{Changeable, Reloader};

/// Everything opened and every port bound; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Installation {
    ports: Ports,
    publisher: Option<Publisher>,
    agent: Option<Agent>,
    journal: Option<JournalStore>,
}

impl Installation {
    /// Opens the parts of the role and then binds their ports, so that what cannot be had is an error before
    /// anything runs. A broker that cannot be reached is none: it may come.
    pub(crate) async fn open(config: Config) -> Result<Self, Failure> {
        let admin_ports = AdminPort::of(&config);
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
                let (key, trust) = (signatures.key, signatures.replayed);
                Some(parts::publisher(part, key, trust, &broker, &log, &surroundings).await?)
            }
            None => None,
        };
        let agent =
            agent.map(|part| parts::agent(part, &broker, &log, &surroundings)).transpose()?;
        if let Some(agent) = &agent {
            agent.trust().replace(signatures.trust);
        }
        let ports = Ports::bind(admin_ports, publisher.as_mut(), &surroundings).await?;
        Ok(Self { ports, publisher, agent, journal: log.store })
    }

    /// Where it listens, by what for.
    pub(crate) fn ports(&self) -> Vec<(&'static str, String)> {
        let url = |address: SocketAddr, secured: bool| {
            let scheme = if secured { "https" } else { "http" };
            format!("{scheme}://{address}")
        };
        let api = self.ports.api.map(|(address, secured)| ("api", url(address, secured)));
        let admins = self.ports.admins.iter();
        let admins = admins.map(|(admin, secured)| ("admin", url(admin.local_addr(), *secured)));
        api.into_iter().chain(admins).collect()
    }

    /// What can change while it runs.
    pub(crate) fn changeable(&self) -> Changeable {
        Changeable {
            tokens: self.publisher.as_ref().and_then(Publisher::tokens),
            caches: self.agent.as_ref().map(Agent::switch),
            trust: self.agent.as_ref().map(Agent::trust),
            tls: self.ports.secured.clone(),
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
        for (admin, _) in self.ports.admins {
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
