//! What only the embedded log promises: crash safety, group commit, retention, a shared database.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod crash;
mod disk;
mod model;
mod publishing;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, Delivery, Embedded, EmbeddedConfig, Message, Partition, Start, Topic,
};
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;

const LOG: Topic = Topic::log("critical");
const BOARD: Topic = Topic::board("reports");
const P0: Partition = Partition(0);

/// A clock that stands where a test puts it.
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

fn in_memory(config: EmbeddedConfig) -> (Embedded, Hand) {
    let hand = Hand::default();
    (Embedded::in_memory(config, hand.clock()).unwrap(), hand)
}

fn message(body: impl Into<Bytes>) -> Message {
    Message { key: None, id: None, body: body.into() }
}

async fn say(log: &Embedded, words: &'static str) {
    log.publish(LOG, P0, words.split(' ').map(message).collect()).await.unwrap();
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

async fn heard(log: &Embedded, start: Start) -> String {
    let all = read_all(log, LOG, start).await;
    all.iter().map(|one| String::from_utf8_lossy(&one.body)).collect::<Vec<_>>().join(" ")
}
