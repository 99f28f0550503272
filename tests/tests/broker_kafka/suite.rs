//! The suite that every broker passes.

use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::conformance::{self, Backend, LOG, OTHER_LOG};
use broker_adapter::{Broker, KafkaConfig};
use parking_lot::Mutex;
use tests::servers::kafka::Kafka as Server;

use super::{config, open};

/// Topics of its own for each check.
struct Specimen {
    server: &'static Server,
    partitions: u32,
    latest: Mutex<KafkaConfig>,
}

impl Specimen {
    async fn new(partitions: u32) -> Self {
        let server = Server::shared().await;
        Self { server, partitions, latest: Mutex::new(config(&server.address())) }
    }
}

#[async_trait]
impl Backend for Specimen {
    async fn fresh(&self) -> Arc<dyn Broker> {
        let config = KafkaConfig { partitions: self.partitions, ..config(&self.server.address()) };
        let broker = open(&config);
        *self.latest.lock() = config;
        Arc::new(broker)
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn reopen(&self, broker: Arc<dyn Broker>) -> Arc<dyn Broker> {
        drop(broker);
        Arc::new(open(&self.latest.lock()))
    }

    async fn expire(&self, _: &Arc<dyn Broker>) -> bool {
        let prefix = self.latest.lock().prefix.clone();
        for topic in [LOG, OTHER_LOG] {
            let name = format!("{prefix}.{topic}");
            let partitions = self.server.partitions(&name).await.unwrap_or(0);
            for partition in 0..i32::try_from(partitions).unwrap() {
                self.server.delete_records(&name, partition, None).await;
            }
        }
        true
    }
}

#[tokio::test]
async fn it_passes_the_suite_with_one_partition() {
    assert_eq!(conformance::run(&Specimen::new(1).await).await, []);
}

#[tokio::test]
async fn it_passes_the_suite_with_three_partitions() {
    assert_eq!(conformance::run(&Specimen::new(3).await).await, []);
}
