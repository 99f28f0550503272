//! The log on Kafka.
//!
//! ```text
//! publish   --> writer  idempotent producer, explicit partition, polled by `kafka-write`
//! subscribe --> reader  assigned partitions, one thread per subscription, a bounded channel to the caller
//! bounds    --> asker   questions to the cluster; `kafka-watch` looks for new partitions and commits positions
//! all of them after topics: created when missing, checked when present
//! ```
//!
//! Positions are offsets. No consumer group decides who reads what: positions are committed for lag tools only.
//! The settings that latency and throughput depend on stand in `client`, with the reason of each.

mod asker;
mod call;
mod client;
mod config;
mod fold;
mod reader;
mod source;
mod stall;
mod subscription;
mod thread;
mod topics;
mod trouble;
mod voice;
mod watch;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};
use asker::blocking;
use client::Settings;
use reader::Task;
use topics::{Topics, Use};
use trouble::Trouble;
use watch::Watch;
use writer::{WriteError, Writer};

pub use config::{KafkaConfig, SaslConfig, SaslMechanism};

/// A log on Kafka. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kafka(Arc<Cluster>);

#[derive(Debug)]
struct Cluster {
    settings: Settings,
    trouble: Trouble,
    topics: Topics,
    writer: Writer,
    watch: Watch,
}

impl Kafka {
    /// Begins to connect, and goes on in the background: a broker that is down is no error here, a configuration
    /// that can never work is. To be called within a runtime.
    pub fn open(config: &KafkaConfig) -> Result<Self, BrokerError> {
        let settings = Settings::new(config)?;
        let trouble = Trouble::default();
        let writer = Writer::new(settings.clone(), trouble.clone())?;
        let watch = Watch::start(&settings, &trouble)?;
        let asker = watch.asker().clone();
        let topics = Topics::new(settings.clone(), config.clone(), asker, trouble.clone());
        Ok(Self(Arc::new(Cluster { settings, trouble, topics, writer, watch })))
    }
}

#[async_trait]
impl Broker for Kafka {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let cluster = &self.0;
        cluster.topics.ensure(topic, Use::Write).await?;
        let name = cluster.topics.name(topic);
        let written = cluster.writer.write(&name, partition, &messages).await;
        written.map_err(|error| {
            if let WriteError::Code(
                Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition,
            ) = error
            {
                cluster.topics.doubt(topic);
            }
            cluster.writer.error(&name, error)
        })
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let Cluster { settings, trouble, topics, watch, .. } = &*self.0;
        topics.ensure(topic, Use::Read).await?;
        let name = topics.name(topic);
        Task { settings, trouble, watch, topic, name, start }.begin().await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        let cluster = &self.0;
        cluster.topics.ensure(topic, Use::Read).await?;
        let (asker, name) = (cluster.watch.asker().clone(), cluster.topics.name(topic));
        blocking(move || asker.bounds(&name)).await
    }
}
