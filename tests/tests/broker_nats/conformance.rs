//! The suite that every backend passes.

use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::conformance::{self, Backend, LOG, OTHER_LOG};
use broker_adapter::{Broker, NatsConfig};
use futures::future::join;
use parking_lot::Mutex;
use tests::servers::nats::{NEWEST, Nats, OLDEST};

use super::setup;

struct Server {
    nats: tokio::sync::Mutex<Nats>,
    partitions: u32,
    /// Of the latest fresh broker.
    config: Mutex<NatsConfig>,
}

impl Server {
    async fn start(version: &str, partitions: u32) -> Self {
        let nats = tokio::sync::Mutex::new(Nats::start_with(version, "").await);
        Self { nats, partitions, config: Mutex::default() }
    }
}

#[async_trait]
impl Backend for Server {
    /// Streams of another name: nothing is in them.
    async fn fresh(&self) -> Arc<dyn Broker> {
        let config = setup::config(&*self.nats.lock().await);
        let config = NatsConfig { partitions: self.partitions, ..config };
        *self.config.lock() = config.clone();
        Arc::new(setup::open(&config))
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn reopen(&self, broker: Arc<dyn Broker>) -> Arc<dyn Broker> {
        drop(broker);
        let mut nats = self.nats.lock().await;
        nats.stop().await;
        nats.restart().await;
        Arc::new(setup::open(&self.config.lock()))
    }

    async fn expire(&self, _: &Arc<dyn Broker>) -> bool {
        let admin = self.nats.lock().await.admin().await;
        let prefix = self.config.lock().prefix.clone();
        for topic in [LOG, OTHER_LOG] {
            // One that nothing was written to does not exist.
            if let Ok(stream) = admin.get_stream(format!("{prefix}-{topic}")).await {
                stream.purge().await.expect("it may be purged");
            }
        }
        true
    }
}

#[tokio::test]
async fn conforms_with_one_partition_and_with_three() {
    let (one, three) = join(Server::start(NEWEST, 1), Server::start(NEWEST, 3)).await;
    let failures = join(conformance::run(&one), conformance::run(&three)).await;
    assert_eq!(failures, (vec![], vec![]));
}

#[tokio::test]
async fn conforms_on_the_oldest_server_that_we_promise() {
    assert_eq!(conformance::run(&Server::start(OLDEST, 1).await).await, vec![]);
}
