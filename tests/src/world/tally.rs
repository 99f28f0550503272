//! Counts what a misbehaving broker does to frames, from outside: what was acknowledged above it, what landed below it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};
use bytes::Bytes;
use parking_lot::Mutex;
use schemas::{LogMessage, wire};

/// What became of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Acknowledged, and not there at that moment: lost, or held back.
    pub absent: usize,
    /// Refused or timed out, and there all the same.
    pub landed_unknown: usize,
    /// Landed more than once.
    pub repeated: usize,
}

/// How often each frame has landed, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Tally {
    landed: Mutex<HashMap<Bytes, usize>>,
    mishaps: Mutex<Mishaps>,
}

impl Tally {
    pub(super) fn mishaps(&self) -> Mishaps {
        let repeated = self.landed.lock().values().filter(|times| **times > 1).count();
        Mishaps { repeated, ..*self.mishaps.lock() }
    }

    fn has(&self, frame: &Bytes) -> bool {
        self.landed.lock().contains_key(frame)
    }
}

/// Which side of the misbehaving broker is watched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Above,
    Below,
}

/// A broker that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: Arc<dyn Broker>,
    pub(super) side: Side,
    pub(super) tally: Arc<Tally>,
}

impl Watched {
    fn note(&self, frame: Bytes, published: bool) {
        match (self.side, published) {
            (Side::Below, true) => *self.tally.landed.lock().entry(frame).or_default() += 1,
            (Side::Above, true) if !self.tally.has(&frame) => self.tally.mishaps.lock().absent += 1,
            (Side::Above, false) if self.tally.has(&frame) => {
                self.tally.mishaps.lock().landed_unknown += 1;
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Broker for Watched {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let frames: Vec<Bytes> = messages.iter().filter_map(frame).collect();
        let published = self.inner.publish(topic, partition, messages).await;
        for frame in frames {
            self.note(frame, published.is_ok());
        }
        published
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.inner.subscribe(topic, start).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.inner.bounds(topic).await
    }
}

fn frame(message: &Message) -> Option<Bytes> {
    let decoded = wire::decode_log(&message.body).ok()?;
    matches!(decoded, LogMessage::Frame(_)).then(|| message.body.clone())
}
