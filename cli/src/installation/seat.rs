//! Where the agent of an installation runs, and another one in its place when there are other caches.

use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, AgentError, AgentMetrics, AgentSetup, Cache, CacheConfig};
use broker_adapter::Broker;
use daemon::{BoxError, Clock, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{AgentName, Sites};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

/// Changes that may wait for each other.
const ORDERS_MAX: usize = 1;

/// What every agent of this seat is made of, whatever its caches.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) config: AgentConfig,
    pub(super) name: AgentName,
    pub(super) sites: Arc<Sites>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) retention: Duration,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) metrics: Arc<Mutex<Registry>>,
}

/// The agent, and what comes after it.
#[derive(Debug)]
pub(super) struct Seat {
    template: Template,
    agent: Agent,
    metrics: AgentMetrics,
    orders: mpsc::Receiver<Order>,
    switch: CacheSwitch,
}

#[derive(Debug)]
struct Order {
    caches: Vec<CacheConfig>,
    done: oneshot::Sender<Result<(), AgentError>>,
}

/// Asks for an agent with other caches. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CacheSwitch(mpsc::Sender<Order>);

impl CacheSwitch {
    /// An agent with these caches takes the place of the one that runs; on an error that one stays.
    pub(super) async fn change(&self, caches: Vec<CacheConfig>) -> Result<(), BoxError> {
        let (done, changed) = oneshot::channel();
        self.0.send(Order { caches, done }).await?;
        Ok(changed.await??)
    }
}

impl Seat {
    /// Opens the first agent.
    pub(super) fn open(template: Template, caches: Vec<CacheConfig>) -> Result<Self, AgentError> {
        let agent = Agent::open(template.setup(caches))?;
        let (switch, orders) = mpsc::channel(ORDERS_MAX);
        Ok(Self { template, metrics: agent.metrics(), agent, orders, switch: CacheSwitch(switch) })
    }

    pub(super) fn switch(&self) -> CacheSwitch {
        self.switch.clone()
    }

    /// Runs one agent after the other until stopped: each has stored its cursors before the next one reads them.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), BoxError> {
        let mut agent = self.agent;
        loop {
            let leave = stop.child();
            let mut running = Box::pin(agent.run(leave.clone()));
            let (next, done) = loop {
                let order = tokio::select! {
                    ended = &mut running => return ended.map_err(BoxError::from),
                    Some(order) = self.orders.recv() => order,
                };
                match Agent::reopen(self.template.setup(order.caches), self.metrics.clone()) {
                    Ok(next) => break (next, order.done),
                    // Whoever asked is told; if nobody waits for it any more, the process is stopping.
                    Err(error) => drop(order.done.send(Err(error))),
                }
            };
            leave.request();
            running.await?;
            self.metrics.forget_lanes();
            info!("the agent begins anew with other caches");
            drop(done.send(Ok(())));
            agent = next;
        }
    }
}

impl Template {
    fn setup(&self, caches: Vec<CacheConfig>) -> AgentSetup {
        AgentSetup {
            config: self.config.clone(),
            name: self.name.clone(),
            caches: caches.into_iter().map(Cache::from).collect(),
            sites: self.sites.clone(),
            broker: self.broker.clone(),
            retention: self.retention,
            clock: self.clock,
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        }
    }
}
