//! Many agents in one process, each with a connection to the broker, a name and a state of its own, and one cache that
//! does nothing but note what it was told to purge.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use agent::driver::{Batch, Driver, Fetches, PurgeError};
use agent::{Agent, LaneConfig, OpenDriver};
use async_trait::async_trait;
use broker_adapter::{Nats, NatsConfig};
use clap::Args;
use daemon::Crew;
use parking_lot::Mutex;
use schemas::{Abilities, Number};

use crate::edge::edge;
use crate::noop::NoOp;
use crate::record;

/// Which agents.
#[derive(Debug, Clone, Args)]
pub(crate) struct Fleet {
    /// The broker
    #[arg(long, default_value = "")]
    pub(crate) url: String,
    /// What the names of its streams begin with
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// How many
    #[arg(long, default_value_t = 0)]
    pub(crate) agents: u32,
    /// The number of the first
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u32,
}

/// A cache that does nothing, and what it was told.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<HashSet<Number>>);

impl Noted {
    /// Different pages that it was told to purge.
    pub(super) fn pages(&self) -> usize {
        self.0.lock().len()
    }
}

#[async_trait]
impl Driver for Noted {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        NoOp.abilities().await
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let numbers = batch.purges.iter().filter_map(|purge| record::number(&purge.selector));
        self.0.lock().extend(numbers);
        NoOp.purge(batch).await
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        NoOp.probe().await
    }
}

impl Fleet {
    /// Starts them; answers their caches.
    pub(super) fn spawn(&self, crew: &mut Crew, folder: &Path) -> anyhow::Result<Vec<Arc<Noted>>> {
        (self.first..self.first + self.agents).map(|at| self.one(crew, folder, at)).collect()
    }

    fn one(&self, crew: &mut Crew, folder: &Path, at: u32) -> anyhow::Result<Arc<Noted>> {
        let (urls, prefix) = (vec![self.url.clone()], self.prefix.clone());
        let noted = Arc::new(Noted::default());
        let cache = noted.clone();
        let broker = Nats::open(&NatsConfig { urls, prefix, ..NatsConfig::default() })?;
        // Nothing is there that a flush could free.
        let lane = LaneConfig { starts_empty: true, ..LaneConfig::default() };
        let (name, state) = (format!("edge-{at}"), folder.join(at.to_string()));
        let open: OpenDriver = Arc::new(move |_| cache.clone());
        let agent = Agent::open(edge(&name, &state, lane, open, Arc::new(broker))?)?;
        let stop = crew.stop();
        crew.spawn("agent", async move { Ok(agent.run(stop).await?) });
        Ok(noted)
    }
}
