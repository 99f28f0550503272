//! Raw librdkafka: an idempotent producer, and a consumer that is assigned its partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::{ANSWER_WITHIN, Look, Place, Reading};

/// How long a full queue is left alone.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// Where the brokers are, and a producer that is connected.
pub(crate) struct Client {
    brokers: String,
    producer: Arc<ThreadedProducer<Counting>>,
    counting: Counting,
}

/// Counts what is delivered, and what is not.
#[derive(Debug, Default)]
struct Deliveries {
    acked: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Counting(Arc<Deliveries>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.0.acked } else { &self.0.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Client {
    /// Connects in the background.
    pub(crate) fn new(brokers: String) -> anyhow::Result<Self> {
        let counting = Counting::default();
        let producer = config(&brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .create_with_context(counting.clone())?;
        Ok(Self { brokers, producer: Arc::new(producer), counting })
    }

    /// A consumer that reads fast, and idles without delay.
    fn consumer(&self, place: &Place, from: Offset) -> anyhow::Result<BaseConsumer> {
        let consumer: BaseConsumer = config(&self.brokers)
            .set("group.id", "baseline")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "500")
            // Where its queue was full, it would not fetch for a second.
            .set("fetch.queue.backoff.ms", "2")
            .set("socket.nagle.disable", "true")
            .create()?;
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(&place.subject, 0, from)?;
        consumer.assign(&assigned)?;
        Ok(consumer)
    }

    pub(super) async fn make(&self, name: &str) -> anyhow::Result<Place> {
        let admin: AdminClient<DefaultClientContext> = config(&self.brokers).create()?;
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        for made in admin.create_topics([&topic], &options).await? {
            made.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(Place { stream: String::new(), subject: name.to_owned() })
    }

    pub(super) async fn publish_for(
        &self,
        place: &Place,
        body: &Bytes,
        time: Duration,
    ) -> anyhow::Result<Reading> {
        let began = Instant::now();
        let bodies = std::iter::repeat_n(body.clone(), usize::MAX);
        let bodies = bodies.take_while(move |_| began.elapsed() < time);
        let messages = self.publish(place, bodies).await?;
        Ok(Reading { messages, took: began.elapsed() })
    }

    pub(super) async fn publish_all(
        &self,
        place: &Place,
        bodies: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> anyhow::Result<()> {
        self.publish(place, bodies).await.map(drop)
    }

    /// Answers how many were acknowledged: all of them.
    async fn publish(
        &self,
        place: &Place,
        bodies: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> anyhow::Result<u64> {
        let before = self.counting.0.acked.load(Ordering::Relaxed);
        let (producer, place) = (Arc::clone(&self.producer), place.clone());
        blocking(move || {
            for body in bodies {
                send(&producer, &place.subject, &body)?;
            }
            Ok(producer.flush(ANSWER_WITHIN)?)
        })
        .await?;
        let failed = self.counting.0.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} messages of the baseline were not delivered");
        Ok(self.counting.0.acked.load(Ordering::Relaxed) - before)
    }

    pub(super) async fn listen(&self, place: &Place) -> anyhow::Result<Listener> {
        let producer = config(&self.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            .create_with_context(Counting::default())?;
        let (asking, topic) =
            (config(&self.brokers).create::<BaseConsumer>()?, place.subject.clone());
        // "The end" would be wherever it is at the first fetch, behind what is published until then.
        let end =
            blocking(move || Ok(asking.fetch_watermarks(&topic, 0, ANSWER_WITHIN)?.1)).await?;
        let consumer = self.consumer(place, Offset::Offset(end))?;
        let (producer, consumer) = (Arc::new(producer), Arc::new(consumer));
        Ok(Listener { producer, consumer, topic: place.subject.clone() })
    }

    pub(super) async fn read(
        &self,
        place: &Place,
        count: u64,
        look: Look,
    ) -> anyhow::Result<Reading> {
        let consumer = self.consumer(place, Offset::Beginning)?;
        blocking(move || {
            let mut first = None;
            for _ in 0..count {
                let message = consumer.poll(ANSWER_WITHIN).context("nothing comes")??;
                first.get_or_insert_with(Instant::now);
                look(message.payload().unwrap_or_default())?;
            }
            let took = first.context("nothing to read")?.elapsed();
            Ok(Reading { messages: count - 1, took })
        })
        .await
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// A consumer on an idle topic.
pub(crate) struct Listener {
    producer: Arc<ThreadedProducer<Counting>>,
    consumer: Arc<BaseConsumer>,
    topic: String,
}

impl Listener {
    pub(super) async fn hop(&mut self, body: &Bytes) -> anyhow::Result<Instant> {
        let (consumer, producer) = (Arc::clone(&self.consumer), Arc::clone(&self.producer));
        let (topic, body) = (self.topic.clone(), body.clone());
        blocking(move || {
            send(&producer, &topic, &body)?;
            consumer.poll(ANSWER_WITHIN).context("nothing comes")??;
            Ok(Instant::now())
        })
        .await
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Waits while the producer's queue is full.
fn send(producer: &ThreadedProducer<Counting>, topic: &str, body: &Bytes) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(body);
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if began.elapsed() < ANSWER_WITHIN =>
            {
                producer.poll(FULL_WAIT);
            }
            Err((error, _)) => bail!(error),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}
