//! The publisher and the agent of an installation.

use std::sync::Arc;

use agent::{Agent, AgentSetup, Cache};
use anyhow::Context;
use daemon::{Clock, Health};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{Publisher, PublisherError, PublisherSetup};
use schemas::{SigningKey, Sites, Trust};

use super::broker::Log;
use crate::config::{AgentPart, BrokerConfig, PublisherPart};
use crate::exit::{Exit, Failure};

/// What all parts of a process share.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) sites: Arc<Sites>,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) metrics: Arc<Mutex<Registry>>,
}

/// Opens the publisher.
pub(super) async fn publisher(
    part: PublisherPart,
    key: Option<SigningKey>,
    trust: Trust,
    broker: &BrokerConfig,
    log: &Log,
    surroundings: &Surroundings,
) -> Result<Publisher, Failure> {
    let store = log.store.clone().context("a publisher has a journal").map_err(Failure::failed)?;
    let setup = PublisherSetup {
        config: part.config,
        name: part.name,
        sites: surroundings.sites.clone(),
        store,
        outlet: match key {
            Some(key) => log.outlet.clone().signed(key),
            None => log.outlet.clone(),
        },
        trust,
        partitions: broker.partitions(),
        retention: broker.retention(),
        clock: surroundings.clock,
        health: surroundings.health.clone(),
        metrics: surroundings.metrics.clone(),
    };
    Box::pin(Publisher::open(setup)).await.map_err(failure)
}

/// Opens the agent.
pub(super) fn agent(
    part: AgentPart,
    broker: &BrokerConfig,
    log: &Log,
    surroundings: &Surroundings,
) -> Result<Agent, Failure> {
    let setup = AgentSetup {
        config: part.config,
        name: part.name,
        caches: part.caches.into_iter().map(Cache::from).collect(),
        sites: surroundings.sites.clone(),
        broker: log.broker(),
        retention: broker.retention(),
        clock: surroundings.clock,
        health: surroundings.health.clone(),
        metrics: surroundings.metrics.clone(),
    };
    Agent::open(setup).map_err(Failure::failed)
}

/// A tokens file that cannot be used is a mistake of the configuration.
fn failure(error: PublisherError) -> Failure {
    let exit = match error {
        PublisherError::Tokens(_) | PublisherError::Exposed(_) | PublisherError::Tls(_) => {
            Exit::WrongUsage
        }
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}
