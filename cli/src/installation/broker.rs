//! The log: in the journal's own database, or at a broker.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
#[cfg(feature = "kafka")]
use broker_adapter::Kafka;
use broker_adapter::{Broker, BrokerError, Embedded, EmbeddedConfig, Nats};
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Outlet};

use super::parts::Surroundings;
use crate::config::BrokerConfig;
use crate::exit::{Exit, Failure};

/// The log of an installation, and the journal's store where it publishes.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) store: Option<JournalStore>,
    pub(super) outlet: Outlet,
}

impl Log {
    /// The log as an agent sees it.
    pub(super) fn broker(&self) -> Arc<dyn Broker> {
        match &self.outlet {
            Outlet::Shared(log) => Arc::new(log.clone()),
            Outlet::Remote(broker) => broker.clone(),
        }
    }
}

/// A broker that is elsewhere.
#[derive(Debug, Clone)]
pub(crate) enum Remote {
    /// NATS JetStream.
    Nats(Nats),
    /// Kafka.
    #[cfg(feature = "kafka")]
    Kafka(Kafka),
}

impl Remote {
    /// Adds what happens between it and this process to the metrics.
    fn register(&self, metrics: &mut Registry) {
        match self {
            Self::Nats(nats) => nats.register(metrics),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => {}
        }
    }

    /// As everyone uses it.
    pub(crate) fn broker(&self) -> Arc<dyn Broker> {
        match self {
            Self::Nats(nats) => Arc::new(nats.clone()),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => Arc::new(kafka.clone()),
        }
    }
}

/// Begins to connect to the broker that is elsewhere; `None` where it is not.
pub(crate) fn connect(config: &BrokerConfig) -> Result<Option<Remote>, BrokerError> {
    Ok(match config {
        BrokerConfig::Embedded(_) => None,
        BrokerConfig::Nats(config) => Some(Remote::Nats(Nats::open(config)?)),
        #[cfg(feature = "kafka")]
        BrokerConfig::Kafka(config) => Some(Remote::Kafka(Kafka::open(config)?)),
    })
}

/// Opens the log, and the journal where there is one.
pub(super) async fn open(
    config: &BrokerConfig,
    journal: Option<PathBuf>,
    surroundings: &Surroundings,
) -> Result<Log, Failure> {
    let store = match journal {
        Some(folder) => Some(open_store(folder).await.map_err(Failure::failed)?),
        None => None,
    };
    let remote = connect(config).map_err(|error| {
        Failure::new(Exit::WrongUsage, anyhow::Error::new(error).context("cannot use [broker]"))
    })?;
    let outlet = match (config, remote, &store) {
        (BrokerConfig::Embedded(log), _, Some(store)) => {
            let limits = EmbeddedConfig {
                retention: log.retention,
                retention_bytes: log.retention_bytes.as_u64(),
            };
            Outlet::Shared(
                embed(store.clone(), limits, surroundings).await.map_err(Failure::failed)?,
            )
        }
        (_, Some(remote), _) => {
            remote.register(&mut surroundings.metrics.lock());
            Outlet::Remote(remote.broker())
        }
        (_, None, _) => {
            let problem = "an embedded log needs a publisher in the same process";
            return Err(Failure::message(Exit::WrongUsage, problem));
        }
    };
    Ok(Log { store, outlet })
}

async fn open_store(folder: PathBuf) -> anyhow::Result<JournalStore> {
    Ok(tokio::task::spawn_blocking(move || JournalStore::open(&folder)).await??)
}

/// The log in the journal's store.
async fn embed(
    store: JournalStore,
    limits: EmbeddedConfig,
    surroundings: &Surroundings,
) -> anyhow::Result<Embedded> {
    let clock = surroundings.clock;
    let opened = tokio::task::spawn_blocking(move || {
        Embedded::open(store.database(), limits, move || clock.now())
    });
    opened.await?.context("cannot open the embedded log")
}
