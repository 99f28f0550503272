//! What only the embedded log promises: crash safety, retention, a shared database.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Delivery, Embedded, EmbeddedConfig, Message, Partition, PartitionBounds,
    Position, Removed, Start, Topic,
};
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use redb::Database;

const LOG: Topic = Topic::log("critical");
const BOARD: Topic = Topic::board("reports");
const P0: Partition = Partition(0);

/// A clock that tests set.
#[derive(Debug, Clone, Default)]
struct Hand(Arc<Mutex<Timestamp>>);

impl Hand {
    fn set(&self, second: i64) {
        *self.0.lock() = at(second);
    }

    fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let hand = self.clone();
        move || *hand.0.lock()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn on_disk(path: &Path) -> (Arc<Database>, Embedded) {
    let database = Arc::new(Database::create(path).unwrap());
    let config = EmbeddedConfig::default();
    let log = Embedded::open(Arc::clone(&database), config, || Timestamp::UNIX_EPOCH).unwrap();
    (database, log)
}

fn message(body: &str) -> Message {
    Message { key: None, id: None, body: Bytes::copy_from_slice(body.as_bytes()) }
}

async fn publish(log: &Embedded, bodies: &[&str]) {
    log.publish(LOG, P0, bodies.iter().map(|body| message(body)).collect()).await.unwrap();
}

/// What a reader gets until nothing comes within a second.
async fn read_all(log: &Embedded, topic: Topic, start: Start) -> Vec<Delivery> {
    let mut subscription = log.subscribe(topic, start).await.unwrap();
    let mut all = Vec::new();
    while let Ok(batch) = tokio::time::timeout(Duration::from_secs(1), subscription.read(7)).await {
        all.extend(batch.unwrap());
    }
    all
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| std::str::from_utf8(&delivery.body).unwrap()).collect()
}

async fn first_and_end(log: &Embedded) -> (u64, u64) {
    let PartitionBounds { first, end } = log.bounds(LOG).await.unwrap()[&P0];
    (first.0, end.0)
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_file_made_without_closing_holds_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("log"), folder.path().join("copy"));
    let (_open, log) = on_disk(&file);
    publish(&log, &["a", "b"]).await;
    publish(&log, &["c"]).await;

    std::fs::copy(&file, &copy).unwrap();

    let (_open, log) = on_disk(&copy);
    assert_eq!(bodies(&read_all(&log, LOG, Start::Oldest).await), ["a", "b", "c"]);
}
