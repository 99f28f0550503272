//! The small installation: log, publisher and agent in one process, on one database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentSetup, Cache};
use anyhow::Context;
use broker_adapter::{Broker, Embedded, EmbeddedConfig};
use daemon::{Admin, BoxError, Clock, Condition, Crew, Health, Readiness, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::config::{BrokerConfig, Config};

/// How often the log drops what it need not keep.
const RETAIN_EVERY: Duration = Duration::from_secs(30);

/// Everything opened and every port bound; nothing runs yet.
#[derive(Debug)]
pub(crate) struct Installation {
    log: Embedded,
    retention: Condition,
    agent: Agent,
    admins: Vec<Admin>,
    clock: Clock,
}

impl Installation {
    /// Opens all parts, so that what cannot be had is an error before anything runs.
    pub(crate) async fn open(config: Config) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let health = Health::default();
        let metrics = Arc::new(Mutex::new(Registry::default()));
        health.register(&mut metrics.lock());
        let admins = admins(&config, &health, &metrics).await?;
        let log = open_log(&config, clock).await?;
        let broker: Arc<dyn Broker> = Arc::new(log.clone());
        let agent = Agent::open(AgentSetup {
            config: config.agent,
            name: config.agent_name,
            caches: config.caches.into_iter().map(Cache::from).collect(),
            sites: Arc::new(config.sites),
            broker,
            clock,
            health: health.clone(),
            metrics,
        })?;
        Ok(Self { log, retention: health.condition("retention"), agent, admins, clock })
    }

    /// Where it listens, by what for.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        self.admins.iter().map(|admin| ("admin", admin.local_addr())).collect()
    }

    /// Sets all parts to work, until `stop`.
    pub(crate) fn crew(self, stop: Stop) -> Crew {
        let mut crew = Crew::new(stop);
        let stop = crew.stop();
        for admin in self.admins {
            crew.spawn(format!("admin {}", admin.local_addr()), admin.run(stop.clone()));
        }
        crew.spawn("retention", retain(self.log, self.retention, self.clock, stop.clone()));
        let agent = self.agent.run(stop);
        crew.spawn("agent", async { agent.await.map_err(BoxError::from) });
        crew
    }
}

/// One admin server where both parts name the same port, else two that show the same.
async fn admins(
    config: &Config,
    health: &Health,
    metrics: &Arc<Mutex<Registry>>,
) -> anyhow::Result<Vec<Admin>> {
    let mut ports = vec![config.publisher.admin, config.agent.admin];
    ports.dedup();
    let mut admins = Vec::new();
    for port in ports {
        admins.push(Admin::bind(port, health.clone(), metrics.clone()).await?);
    }
    Ok(admins)
}

async fn open_log(config: &Config, clock: Clock) -> anyhow::Result<Embedded> {
    let folder = config.publisher.journal.clone();
    let database = tokio::task::spawn_blocking(move || publisher::open_journal(&folder)).await??;
    let BrokerConfig { retention, retention_bytes, .. } = config.broker;
    let limits = EmbeddedConfig { retention, retention_bytes: retention_bytes.as_u64() };
    Embedded::open(database, limits, move || clock.now()).context("cannot open the embedded log")
}

/// Keeps the log within its bounds; that it cannot for a while is no reason to stop purging.
async fn retain(
    log: Embedded,
    condition: Condition,
    clock: Clock,
    stop: Stop,
) -> Result<(), BoxError> {
    let mut ticks = interval(RETAIN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = ticks.tick() => {}
        }
        match log.retain(clock.now()).await {
            Ok(_) => condition.set(Readiness::Ready),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot shorten the log");
                condition.set(Readiness::Degraded("the log cannot be shortened".to_owned()));
            }
        }
    }
}
