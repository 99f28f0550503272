//! What an operator, or a mishap, does to a topic of the bus at Kafka.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tests::bus::Wire;
use tests::servers::kafka::Kafka;

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Hands on the log of normal priority.
#[derive(Debug)]
pub(crate) struct Topic<'a> {
    kafka: &'a Kafka,
    pub(crate) name: String,
}

impl<'a> Topic<'a> {
    pub(crate) fn of(wire: &Wire, kafka: &'a Kafka) -> Self {
        Self { kafka, name: wire.stream("normal") }
    }

    /// Where the next record of a partition will stand; nothing while there is no such partition.
    pub(crate) async fn end(&self, partition: i32) -> Option<i64> {
        let consumer: BaseConsumer = self.kafka.client().create().expect("a client");
        let name = self.name.clone();
        let ask = move || consumer.fetch_watermarks(&name, partition, ANSWER_WITHIN);
        let answer = tokio::task::spawn_blocking(ask).await.expect("no panic");
        answer.ok().map(|(_, end)| end)
    }

    /// Deletes it; whoever needs it makes it again.
    pub(crate) async fn vanish(&self) {
        self.kafka.delete_topic(&self.name).await;
        tests::eventually("another topic of that name", async || self.end(0).await.is_some()).await;
    }

    /// Removes all that it holds.
    pub(crate) async fn truncate(&self) {
        self.kafka.delete_records(&self.name, 0, None).await;
    }

    /// Appends a record, as whoever owns the broker can.
    pub(crate) async fn append(&self, body: &[u8]) {
        let producer: FutureProducer = self.kafka.client().create().expect("a client");
        let record = FutureRecord::<(), _>::to(&self.name).partition(0).payload(body);
        producer.send(record, ANSWER_WITHIN).await.expect("it is taken");
    }
}
