//! What the tests of this backend share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Delivery, Message, Nats as Log, NatsConfig, Partition, Subscription, Topic,
};
use bytes::Bytes;
use tests::servers::nats::Nats;
use tokio::time::timeout;

pub(super) const LOG: Topic = Topic::log("normal");
pub(super) const BOARD: Topic = Topic::board("reports");
pub(super) const FIRST: Partition = Partition(0);

/// A message that was published comes within this.
const PATIENCE: Duration = Duration::from_secs(30);

static PREFIXES: AtomicUsize = AtomicUsize::new(0);

/// A configuration for a server, with names of its own.
pub(super) fn config(nats: &Nats) -> NatsConfig {
    let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
    NatsConfig {
        urls: vec![nats.url()],
        prefix: format!("t{number}"),
        // The server sets it aside for each stream.
        retention_bytes: "64MiB".parse().expect("a size"),
        ..NatsConfig::default()
    }
}

pub(super) fn open(config: &NatsConfig) -> Log {
    Log::open(config).expect("a configuration that can work")
}

pub(super) fn message(body: &str) -> Message {
    Message { key: None, id: None, body: Bytes::copy_from_slice(body.as_bytes()) }
}

/// Publishes each word.
pub(super) async fn say(log: &Log, words: &str) -> Result<(), BrokerError> {
    log.publish(LOG, FIRST, words.split(' ').map(message).collect()).await
}

/// Publishes until it is taken.
pub(super) async fn insist(log: &Log, words: &str) {
    tests::eventually("the server takes it", async || say(log, words).await.is_ok()).await;
}

pub(super) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
}

/// Reads `count` deliveries, through whatever errors come between.
pub(super) async fn read(reader: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    let reading = async {
        while all.len() < count {
            if let Ok(batch) = reader.read(count - all.len()).await {
                all.extend(batch);
            }
        }
    };
    let done = timeout(PATIENCE, reading).await;
    assert!(done.is_ok(), "{} of {count} came: {:?}", all.len(), texts(&all));
    all
}

/// An error with all that it says.
pub(super) fn words(error: &BrokerError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}

/// Publishes each `key=body`.
pub(super) async fn post(log: &Log, entries: &str) -> Result<(), BrokerError> {
    let entry = |entry: &str| {
        let (key, body) = entry.split_once('=').expect("key=body");
        Message { key: Some(key.to_owned()), ..message(body) }
    };
    log.publish(BOARD, FIRST, entries.split(' ').map(entry).collect()).await
}

/// Numbers as words.
pub(super) fn numbers(range: std::ops::Range<usize>) -> String {
    range.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// What a refusal says.
pub(super) fn refused(error: &BrokerError) -> String {
    assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
    words(error)
}
