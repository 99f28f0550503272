//! An agent that can be killed and started again: its state folder and its caches outlive it.

use std::collections::BTreeSet;
use std::sync::Arc;

use agent::{Agent, AgentConfig, AgentSetup, Drivers};
use broker_adapter::Broker;
use daemon::{Clock, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{CacheName, Region, Sites};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::cache::{Cache, Upstream};
use super::driver::Model;
use super::origin::Origin;
use super::plan::{AgentPlan, CachePlan};
use super::publisher_process::RETENTION;

/// An agent and what it works with.
#[derive(Debug)]
pub(super) struct AgentProcess {
    plan: AgentPlan,
    region: Region,
    sites: Arc<Sites>,
    broker: Arc<dyn Broker>,
    clock: Clock,
    state: TempDir,
    caches: Vec<Arc<Cache>>,
    running: JoinSet<()>,
}

impl AgentProcess {
    /// An agent that does not run yet, with its caches, which are empty.
    pub(super) fn new(
        plan: &AgentPlan,
        region: &str,
        origin: &Arc<Origin>,
        surroundings: (Arc<Sites>, Arc<dyn Broker>, Clock),
    ) -> Self {
        let (sites, broker, clock) = surroundings;
        let mut caches: Vec<Arc<Cache>> = Vec::new();
        for cache in &plan.caches {
            let place = |name: &str| format!("{region}/{}/{name}", plan.name);
            let upstream = match &cache.fills_from {
                None => Upstream::Origin(origin.clone()),
                Some(inner) => {
                    let inner = caches.iter().find(|known| known.place() == place(inner));
                    Upstream::Inner(inner.expect("inner caches are planned first").clone())
                }
            };
            caches.push(Arc::new(Cache::new(place(&cache.name), upstream, origin.clone())));
        }
        Self {
            plan: plan.clone(),
            region: region.parse().expect("a name"),
            sites,
            broker,
            clock,
            state: tempfile::tempdir().expect("a folder"),
            caches,
            running: JoinSet::new(),
        }
    }

    /// Starts it, unless it runs.
    pub(super) fn start(&mut self) {
        if self.runs() {
            return;
        }
        let caches = self.plan.caches.iter().zip(&self.caches);
        let agent = Agent::open(AgentSetup {
            config: AgentConfig {
                region: self.region.clone(),
                state: self.state.path().to_owned(),
                ..AgentConfig::default()
            },
            name: self.plan.name.parse().expect("a name"),
            caches: caches.map(|(plan, cache)| purged(plan, cache)).collect(),
            sites: self.sites.clone(),
            broker: self.broker.clone(),
            retention: RETENTION,
            clock: self.clock,
            health: Health::default(),
            metrics: Arc::new(Mutex::new(Registry::default())),
        });
        let running = agent.expect("an agent").run(Stop::new());
        self.running.spawn(async move { running.await.expect("nobody stopped it") });
    }

    /// Ends it as `kill -9` would.
    pub(super) async fn kill(&mut self) {
        self.running.shutdown().await;
    }

    /// Whatever it kept on disk is gone.
    pub(super) fn forget_state(&mut self) {
        self.state = tempfile::tempdir().expect("a folder");
    }

    /// From its next start on it is another agent.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.plan.name);
        self.forget_state();
    }

    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    pub(super) fn caches(&self) -> &[Arc<Cache>] {
        &self.caches
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// When it has ended by itself.
    fn runs(&mut self) -> bool {
        if let Some(ended) = self.running.try_join_next() {
            panic!("agent {} ended by itself: {ended:?}", self.plan.name);
        }
        !self.running.is_empty()
    }
}

fn purged(plan: &CachePlan, cache: &Arc<Cache>) -> agent::Cache {
    let (cache, prefixes) = (cache.clone(), plan.prefixes);
    let name: CacheName = plan.name.parse().expect("a name");
    agent::Cache {
        name,
        lane: plan.lane.clone(),
        kind: "model".to_owned(),
        rebounds: plan.rebounds.clone(),
        parts: BTreeSet::new(),
        drivers: Drivers::Made(Arc::new(move |_| {
            Arc::new(Model { cache: cache.clone(), prefixes })
        })),
    }
}
