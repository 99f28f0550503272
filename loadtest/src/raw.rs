//! The baselines: the broker's own client with good settings, and nothing of ours.

pub(crate) mod kafka;
pub(crate) mod nats;
pub(crate) mod store;

use std::hint::black_box;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use schemas::wire;
use tokio::time::Instant;

/// Longest wait for an answer of the broker.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A broker's own client.
#[derive(Debug)]
pub(crate) enum Raw {
    /// async-nats.
    Nats(nats::Client),
    /// librdkafka.
    Kafka(kafka::Client),
}

/// Where a baseline publishes and reads.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The stream, where the broker has such.
    pub(crate) stream: String,
    /// Subject or topic.
    pub(crate) subject: String,
}

/// A reader on an idle log, and a publisher that it waits for.
#[derive(Debug)]
pub(crate) enum Listener {
    Nats(Box<nats::Listener>),
    Kafka(kafka::Listener),
}

impl Listener {
    /// With what settings the baselines idle.
    pub(crate) const SETTINGS: &str = "baselines: NATS: a pull consumer without acks, a request always open; Kafka:         linger.ms = 0, socket.nagle.disable = true, fetch.min.bytes = 1 with fetch.wait.max.ms = 500, which waits at         the broker and not in the client";

    /// Publishes `body`, and answers when it was read.
    pub(crate) async fn hop(&mut self, body: &Bytes) -> anyhow::Result<Instant> {
        match self {
            Self::Nats(listener) => listener.hop(body).await,
            Self::Kafka(listener) => listener.hop(body).await,
        }
    }
}

/// One reading of a log, from its oldest message on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Messages after the first.
    pub(crate) messages: u64,
    /// From the first to the last.
    pub(crate) took: Duration,
}

/// What a baseline does with each message.
pub(crate) type Look = fn(&[u8]) -> anyhow::Result<()>;

/// It counts it.
pub(crate) fn counted(body: &[u8]) -> anyhow::Result<()> {
    ensure!(!body.is_empty(), "an empty message");
    Ok(())
}

/// It checks the envelope, decodes the body, and forgets it.
pub(crate) fn decoded(body: &[u8]) -> anyhow::Result<()> {
    black_box(wire::decode_log(body)?);
    Ok(())
}

impl Raw {
    /// A place of its own for single messages.
    pub(crate) async fn make(&self, name: &str) -> anyhow::Result<Place> {
        match self {
            Self::Nats(client) => client.make(name).await,
            Self::Kafka(client) => client.make(name).await,
        }
    }

    /// Publishes `body` over and over for that long, pipelined; answers how often it was acknowledged, and
    /// the time until the last ack.
    pub(crate) async fn publish_for(
        &self,
        place: &Place,
        body: &Bytes,
        time: Duration,
    ) -> anyhow::Result<Reading> {
        let published = match self {
            Self::Nats(client) => client.publish_for(place, body, time).await,
            Self::Kafka(client) => client.publish_for(place, body, time).await,
        }?;
        ensure!(published.messages > 0, "the baseline published nothing");
        Ok(published)
    }

    /// Publishes these, pipelined, in order.
    pub(crate) async fn publish_all(
        &self,
        place: &Place,
        bodies: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> anyhow::Result<()> {
        match self {
            Self::Nats(client) => client.publish_all(place, bodies).await,
            Self::Kafka(client) => client.publish_all(place, bodies).await,
        }
    }

    /// Listens for what comes from now on.
    pub(crate) async fn listen(&self, place: &Place) -> anyhow::Result<Listener> {
        Ok(match self {
            Self::Nats(client) => Listener::Nats(Box::new(client.listen(place).await?)),
            Self::Kafka(client) => Listener::Kafka(client.listen(place).await?),
        })
    }

    /// Reads `count` messages from the oldest on, and looks at each.
    pub(crate) async fn read(
        &self,
        place: &Place,
        count: u64,
        look: Look,
    ) -> anyhow::Result<Reading> {
        match self {
            Self::Nats(client) => client.read(place, count, look).await,
            Self::Kafka(client) => client.read(place, count, look).await,
        }
    }
}
