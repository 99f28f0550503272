//! An agent in this process, before one cache of the one site.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::{AgentConfig, AgentSetup, Cache, Drivers, LaneConfig, OpenDriver};
use broker_adapter::{Broker, Nats, NatsConfig};
use daemon::{Clock, Health};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tests::record;

/// How long the broker keeps everything.
const RETENTION: Duration = Duration::from_hours(24);

/// One that keeps its state in that folder, believes whatever is on the log, and purges once.
pub(crate) fn edge(
    name: &str,
    state: &Path,
    lane: LaneConfig,
    open: OpenDriver,
    broker: Arc<dyn Broker>,
) -> anyhow::Result<AgentSetup> {
    let state = state.to_owned();
    Ok(AgentSetup {
        config: AgentConfig { state, accept_unsigned: true, ..AgentConfig::default() },
        name: name.parse()?,
        caches: vec![Cache {
            name: "cache".parse()?,
            lane,
            kind: "any".to_owned(),
            rebounds: Vec::new(),
            parts: BTreeSet::new(),
            drivers: Drivers::Made(open),
        }],
        sites: record::sites(),
        broker,
        retention: RETENTION,
        clock: Clock::system(),
        health: Health::default(),
        metrics: Arc::new(Mutex::new(Registry::default())),
    })
}

/// Number `at` of many, with a connection to NATS, a name and a folder in `state` of its own.
pub(crate) fn one_of_many(
    at: usize,
    state: &Path,
    nats: &NatsConfig,
    open: OpenDriver,
) -> anyhow::Result<AgentSetup> {
    // Nothing is there that a flush could free.
    let lane = LaneConfig { starts_empty: true, ..LaneConfig::default() };
    let state = state.join(at.to_string());
    edge(&format!("edge-{at}"), &state, lane, open, Arc::new(Nats::open(nats)?))
}
