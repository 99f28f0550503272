//! Many agents in one process, each with a connection to the broker, a name and a state of its own, and one cache that
//! does nothing but note what it was told to purge.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use agent::driver::Batch;
use agent::{Agent, OpenDriver};
use broker_adapter::NatsConfig;
use clap::Args;
use daemon::Crew;
use parking_lot::Mutex;
use schemas::Number;
use tests::record;

use crate::edge::one_of_many;
use crate::noop::NoOp;
use crate::noted::noted;

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

/// What a cache that does nothing was told.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashSet<Number>>);

impl Told {
    /// Different pages that it was told to purge.
    pub(super) fn pages(&self) -> usize {
        self.0.lock().len()
    }

    fn note(&self, batch: &Batch) {
        let numbers = batch.purges.iter().filter_map(|purge| record::number(&purge.selector));
        self.0.lock().extend(numbers);
    }
}

impl Fleet {
    /// Starts them; answers their caches.
    pub(super) fn spawn(&self, crew: &mut Crew, folder: &Path) -> anyhow::Result<Vec<Arc<Told>>> {
        (self.first..self.first + self.agents).map(|at| self.one(crew, folder, at)).collect()
    }

    fn one(&self, crew: &mut Crew, folder: &Path, at: u32) -> anyhow::Result<Arc<Told>> {
        let (urls, prefix) = (vec![self.url.clone()], self.prefix.clone());
        let nats = NatsConfig { urls, prefix, ..NatsConfig::default() };
        let told = Arc::new(Told::default());
        let notes = told.clone();
        let cache = noted(Arc::new(NoOp), move |batch| notes.note(batch));
        let open: OpenDriver = Arc::new(move |_| cache.clone());
        let agent = Agent::open(one_of_many(usize::try_from(at)?, folder, &nats, open)?)?;
        let stop = crew.stop();
        crew.spawn("agent", async move { Ok(agent.run(stop).await?) });
        Ok(told)
    }
}
