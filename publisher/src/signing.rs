//! Signs whatever leaves for the log and the boards, for the place where it will stand.

use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};
use schemas::SigningKey;
use schemas::wire::{self, Spot};
use tokio::sync::Mutex;
use tokio::task::yield_now;

/// A signature takes some tens of microseconds: after so many, others have a turn.
const SIGNED_AT_ONCE: usize = 16;

/// A broker that gets nothing unsigned. What the journal sends again is signed again: equal bytes in an equal place
/// have an equal signature, and the journal keeps what every key may sign.
#[derive(Debug)]
pub(crate) struct Signing {
    broker: Arc<dyn Broker>,
    key: SigningKey,
    /// Held while signing, first come first served: what yields must not be overtaken on its way to the broker.
    turn: Mutex<()>,
}

impl Signing {
    pub(crate) fn new(broker: Arc<dyn Broker>, key: SigningKey) -> Self {
        Self { broker, key, turn: Mutex::default() }
    }
}

#[async_trait]
impl Broker for Signing {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        mut messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let spot = Spot { topic: topic.name(), partition: partition.0 };
        let turn = self.turn.lock().await;
        for some in messages.chunks_mut(SIGNED_AT_ONCE) {
            for message in some {
                let signed = wire::sign(&message.body, spot, &self.key);
                message.body = signed.map_err(|error| BrokerError::Refused(error.into()))?;
            }
            yield_now().await;
        }
        drop(turn);
        self.broker.publish(topic, partition, messages).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.broker.subscribe(topic, start).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.broker.bounds(topic).await
    }
}

#[cfg(test)]
mod tests {
    use broker_adapter::{Embedded, EmbeddedConfig};
    use bytes::Bytes;
    use jiff::Timestamp;
    use schemas::{LineId, LogMessage, Lost, NumberRange, Trust};

    use crate::outlet::Outlet;

    use super::*;

    const TOPIC: Topic = Topic::log("normal");

    fn lost(last: u64) -> Message {
        let body = wire::encode_log(&LogMessage::Lost(Lost {
            publisher: "publisher-1".parse().unwrap(),
            line: LineId::random(),
            numbers: NumberRange { first: 1, last },
        }));
        Message { key: None, id: None, body }
    }

    struct Bench {
        signing: Arc<dyn Broker>,
        trust: Trust,
        _folder: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::JournalStore::open(folder.path()).unwrap();
        let limits = EmbeddedConfig {
            retention: std::time::Duration::from_hours(1),
            retention_bytes: 1 << 20,
        };
        let log = Embedded::open(store.database(), limits, || Timestamp::UNIX_EPOCH).unwrap();
        let key = SigningKey::generate().unwrap();
        let trust = Trust::Keys(key.public().to_string().parse().unwrap());
        let signing = Outlet::Remote(Arc::new(log)).signed(key).broker();
        Bench { signing, trust, _folder: folder }
    }

    async fn landed(signing: &dyn Broker) -> Vec<Bytes> {
        let mut read = signing.subscribe(TOPIC, Start::Oldest).await.unwrap();
        let landed = read.read(1_000).await.unwrap();
        landed.into_iter().map(|landed| landed.body).collect()
    }

    #[tokio::test]
    async fn what_leaves_is_signed_for_its_place_and_what_is_no_message_does_not_leave() {
        let Bench { signing, trust, _folder } = bench();
        let messages: Vec<_> = (1..=20).map(lost).collect();
        signing.publish(TOPIC, Partition(0), messages.clone()).await.unwrap();
        let strange = Message { key: None, id: None, body: Bytes::from_static(b"PB") };
        let refused = signing.publish(TOPIC, Partition(0), vec![strange]).await;
        assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");

        let landed = landed(signing.as_ref()).await;
        assert_eq!(landed.len(), messages.len());
        for (landed, sent) in landed.iter().zip(&messages) {
            let spot = Spot { topic: "normal", partition: 0 };
            assert_eq!(wire::verify(landed, spot, &trust), Ok(()));
            assert_eq!(wire::decode_log(landed), wire::decode_log(&sent.body));
        }
    }

    #[tokio::test]
    async fn no_batch_overtakes_another() {
        let Bench { signing, _folder, .. } = bench();
        // The first are the longest to sign.
        let batches: Vec<Vec<_>> =
            (1..=10).map(|batch| (0..60 - 5 * batch).map(|_| lost(batch)).collect()).collect();
        let publish = |batch: &Vec<Message>| signing.publish(TOPIC, Partition(0), batch.clone());
        for done in futures::future::join_all(batches.iter().map(publish)).await {
            done.unwrap();
        }
        let decoded = |body: &Bytes| wire::decode_log(body).unwrap();
        let landed: Vec<_> = landed(signing.as_ref()).await.iter().map(decoded).collect();
        let sent: Vec<_> = batches.iter().flatten().map(|sent| decoded(&sent.body)).collect();
        assert_eq!(landed, sent);
    }
}
