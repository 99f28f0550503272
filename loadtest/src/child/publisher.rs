//! The publisher of a `serve`, as that composes it, without the agent beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Start, Topic};
use daemon::{Clock, Crew, Health};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use publisher::{JournalStore, Outlet, Publisher, PublisherConfig, PublisherSetup};
use schemas::{Invalidation, LogMessage, Priority, Trust, wire};
use tests::record;

use crate::http::CONNECTIONS;

const RETENTION: Duration = Duration::from_hours(7 * 24);
/// Most messages read at once.
const READ_MAX: usize = 1_000;

pub(super) async fn spawn(
    crew: &mut Crew,
    folder: &Path,
    audited: bool,
) -> anyhow::Result<SocketAddr> {
    let (store, log) = open(folder)?;
    let mut publisher = Publisher::open(PublisherSetup {
        config: PublisherConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            // All clients come from this machine.
            connections_per_address: CONNECTIONS,
            audit_dir: audited.then(|| folder.join("audit")),
            ..PublisherConfig::default()
        },
        name: "publisher-1".parse()?,
        sites: record::sites(),
        store,
        outlet: Outlet::Shared(log),
        trust: Trust::Anyone,
        partitions: 1,
        retention: RETENTION,
        clock: Clock::system(),
        health: Health::default(),
        metrics: Arc::new(Mutex::new(Registry::default())),
    })
    .await?;
    let listens = publisher.bind().await?;
    let stop = crew.stop();
    crew.spawn("publisher", async move { Ok(publisher.run(stop).await?) });
    Ok(listens)
}

fn open(folder: &Path) -> anyhow::Result<(JournalStore, Embedded)> {
    let (store, clock) = (JournalStore::open(folder)?, Clock::system());
    let log = Embedded::open(store.database(), EmbeddedConfig::default(), move || clock.now())?;
    Ok((store, log))
}

/// Everything on the log of a publisher that has ended, in order.
pub(super) async fn published(folder: &Path) -> anyhow::Result<Vec<Invalidation>> {
    let (_store, log) = open(folder)?;
    let topic = Topic::log(Priority::Normal.as_str());
    let mut left =
        log.bounds(topic).await?.values().map(|kept| kept.end.0 - kept.first.0).sum::<u64>();
    let mut reader = log.subscribe(topic, Start::Oldest).await?;
    let mut published = Vec::new();
    while left > 0 {
        let read = reader.read(READ_MAX).await?;
        left = left.saturating_sub(read.len() as u64);
        for delivery in read {
            if let LogMessage::Frame(frame) = wire::decode_log(&delivery.body)? {
                published.extend(frame.invalidations);
            }
        }
    }
    Ok(published)
}
