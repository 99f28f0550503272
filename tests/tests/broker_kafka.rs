//! The log on a real Kafka.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "broker_kafka/suite.rs"]
mod suite;

use std::sync::atomic::{AtomicU32, Ordering};

use broker_adapter::{Kafka, KafkaConfig};

/// A configuration that no other test shares topics with.
fn config(bootstrap: &str) -> KafkaConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    KafkaConfig {
        brokers: vec![bootstrap.to_owned()],
        prefix: format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        ..KafkaConfig::default()
    }
}

fn open(config: &KafkaConfig) -> Kafka {
    Kafka::open(config).unwrap()
}
