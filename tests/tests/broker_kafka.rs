//! The log on a real Kafka.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "broker_kafka/access.rs"]
mod access;
#[path = "broker_kafka/faults.rs"]
mod faults;
#[path = "broker_kafka/latency.rs"]
mod latency;
#[path = "broker_kafka/suite.rs"]
mod suite;
#[path = "broker_kafka/topics.rs"]
mod topics;
#[path = "broker_kafka/writing.rs"]
mod writing;

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Kafka, KafkaConfig, Message, Partition, Subscription, Topic,
};
use tokio::time::{Instant, timeout};

const LOG: Topic = Topic::log("critical");
const BOARD: Topic = Topic::board("reports");

/// What must happen happens within this, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

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

fn log_name(config: &KafkaConfig) -> String {
    format!("{}.{LOG}", config.prefix)
}

fn message(body: impl Into<bytes::Bytes>) -> Message {
    Message { key: None, id: None, body: body.into() }
}

/// Publishes each number as a message.
async fn say(
    broker: &Kafka,
    partition: u32,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<(), BrokerError> {
    let messages = numbers.into_iter().map(|number| message(number.to_string())).collect();
    broker.publish(LOG, Partition(partition), messages).await
}

/// Publishes until the broker takes it. Answers how often: what seemed to fail may have landed.
async fn insist(broker: &Kafka, partition: u32, number: u32) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut tries = 1;
    while let Err(error) = say(broker, partition, [number]).await {
        assert!(Instant::now() < deadline, "never taken: {}", causes(&error));
        tries += 1;
    }
    tries
}

/// Reads so many numbers.
async fn hear(subscription: &mut dyn Subscription, count: usize) -> Vec<u32> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let read = timeout(PATIENCE, subscription.read(count - heard.len())).await;
        let deliveries = read.unwrap_or_else(|_| panic!("{heard:?}, then nothing")).unwrap();
        let number = |body: &[u8]| std::str::from_utf8(body).unwrap().parse::<u32>().unwrap();
        heard.extend(deliveries.iter().map(|delivery| number(&delivery.body)));
    }
    heard
}

/// Reads up to the first `last`.
async fn hear_until(subscription: &mut dyn Subscription, last: u32) -> Vec<u32> {
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        heard.extend(hear(subscription, 1).await);
    }
    heard
}

/// An error with all that lies behind it.
fn causes(error: &BrokerError) -> String {
    let mut all = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        all = format!("{all}: {error}");
        source = error.source();
    }
    all
}

/// The error of something that must fail, soon; and what it must say.
#[track_caller]
fn says<T>(result: Result<T, BrokerError>, words: &str) -> BrokerError {
    let Err(error) = result else { panic!("it worked; expected: {words}") };
    let all = causes(&error);
    assert!(all.contains(words), "`{all}` does not say `{words}`");
    error
}
