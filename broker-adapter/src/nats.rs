//! The log on NATS JetStream: one stream for each topic, one subject in it for each partition or key.

mod config;
mod consumer;
mod difference;
mod events;
mod failure;
mod link;
mod message;
mod names;
mod options;
mod place;
mod publish;
mod pulls;
mod streams;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::registry::Registry;

use crate::{
    Bounds, Broker, BrokerError, Message, Partition, PartitionBounds, Position, Start,
    Subscription, Topic, TopicKind,
};
use failure::Failure;
use link::Link;
use publish::Outbox;
use streams::{Purpose, Streams};
use subscription::NatsSubscription;

pub use config::NatsConfig;

/// A log on NATS JetStream. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct Nats {
    link: Arc<Link>,
    streams: Arc<Streams>,
    outbox: Arc<Outbox>,
}

impl Nats {
    /// Begins to connect, and goes on in the background: a broker that is down is no error here, a configuration
    /// that can never work is. To be called within a runtime.
    pub fn open(config: &NatsConfig) -> Result<Self, BrokerError> {
        Ok(Self {
            link: Arc::new(Link::open(config)?),
            streams: Arc::new(Streams::new(config)),
            outbox: Arc::new(Outbox::new()),
        })
    }

    /// Adds what happens between this process and the broker to the metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.link.events.register(registry);
    }

    async fn look(&self, topic: Topic) -> Result<Bounds, Failure> {
        self.link.connected().await?;
        let info = self.streams.settle(&self.link, topic, Purpose::Read).await?;
        let sight = consumer::sight(&info);
        let (first, end) = (Position(sight.first), Position(sight.end));
        let all = PartitionBounds { first, end };
        // One sequence for all partitions: each may begin later than this says, never earlier.
        let empty = PartitionBounds { first: end, end };
        if topic.kind() == TopicKind::Board || (self.streams.partitions == 1 && first == end) {
            return Ok([(Partition(0), all)].into());
        }
        let mut bounds: Bounds =
            (0..self.streams.partitions).map(|number| (Partition(number), empty)).collect();
        for partition in consumer::occupied(&self.link, &self.streams, topic).await? {
            bounds.insert(partition, all);
        }
        Ok(bounds)
    }
}

#[async_trait]
impl Broker for Nats {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let (link, streams) = (&self.link, &self.streams);
        Ok(self.outbox.publish(link, streams, topic, partition, &messages).await?)
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let (link, streams) = (Arc::clone(&self.link), Arc::clone(&self.streams));
        Ok(Box::new(NatsSubscription::open(link, streams, topic, start).await?))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        Ok(self.look(topic).await?)
    }
}
