//! Raw JetStream: pipelined publishing with message ids, and a pull consumer that acknowledges nothing.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{Context, ContextBuilder, PublishAckFuture};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{ANSWER_WITHIN, Look, Place, Reading};

/// Messages on their way at once.
const IN_FLIGHT: usize = 4_096;
/// Messages asked for at once.
const PULLED: usize = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(2);
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    context: Context,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = timeout(ANSWER_WITHIN, async_nats::connect(url)).await??;
        let builder = ContextBuilder::new().timeout(ANSWER_WITHIN).max_ack_inflight(IN_FLIGHT);
        Ok(Self { context: builder.backpressure_on_inflight(true).build(client) })
    }

    pub(super) async fn make(&self, name: &str) -> anyhow::Result<Place> {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{name}.0")],
            ..stream::Config::default()
        };
        self.context.create_stream(config).await?;
        Ok(Place { stream: name.to_owned(), subject: format!("{name}.0") })
    }

    pub(super) async fn publish_for(
        &self,
        place: &Place,
        body: &Bytes,
        time: Duration,
    ) -> anyhow::Result<Reading> {
        let began = Instant::now();
        let bodies = std::iter::repeat_with(|| body.clone());
        let bodies = bodies.take_while(move |_| began.elapsed() < time);
        let messages = self.publish(place, bodies).await?;
        Ok(Reading { messages, took: began.elapsed() })
    }

    pub(super) async fn publish_all(
        &self,
        place: &Place,
        bodies: impl Iterator<Item = Bytes>,
    ) -> anyhow::Result<()> {
        self.publish(place, bodies).await.map(drop)
    }

    /// Answers how many were acknowledged: all of them.
    async fn publish(
        &self,
        place: &Place,
        bodies: impl Iterator<Item = Bytes>,
    ) -> anyhow::Result<u64> {
        let run = fastrand::u64(..);
        let (sent, acks) = mpsc::channel(IN_FLIGHT);
        let sending = async move {
            for (number, body) in bodies.enumerate() {
                let id = format!("{run:016x}-{number}");
                let message = PublishMessage::build().payload(body).message_id(id);
                let ack = self.context.send_publish(place.subject.clone(), message).await?;
                sent.send(ack).await.map_err(|_| anyhow!("an ack failed"))?;
            }
            Ok(())
        };
        let ((), acked) = futures::try_join!(sending, acknowledged(acks))?;
        Ok(acked)
    }

    pub(super) async fn read(
        &self,
        place: &Place,
        count: u64,
        look: Look,
    ) -> anyhow::Result<Reading> {
        let mut messages = self.messages(place, DeliverPolicy::All).await?;
        let mut first = None;
        for _ in 0..count {
            let message = timeout(ANSWER_WITHIN, messages.next()).await?.context("it ended")??;
            first.get_or_insert_with(Instant::now);
            look(&message.payload)?;
        }
        let took = first.context("nothing to read")?.elapsed();
        Ok(Reading { messages: count - 1, took })
    }

    pub(super) async fn listen(&self, place: &Place) -> anyhow::Result<Listener> {
        let messages = self.messages(place, DeliverPolicy::New).await?;
        Ok(Listener { context: self.context.clone(), place: place.clone(), messages })
    }

    async fn messages(&self, place: &Place, from: DeliverPolicy) -> anyhow::Result<pull::Stream> {
        let stream = self.context.get_stream(&place.stream).await?;
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            deliver_policy: from,
            filter_subject: place.subject.clone(),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let pulling = consumer
            .stream()
            .max_messages_per_batch(PULLED)
            .heartbeat(HEARTBEAT)
            .expires(PULL_EXPIRES);
        Ok(pulling.messages().await?)
    }
}

/// A consumer on an idle stream.
pub(crate) struct Listener {
    context: Context,
    place: Place,
    messages: pull::Stream,
}

impl Listener {
    pub(super) async fn hop(&mut self, body: &Bytes) -> anyhow::Result<Instant> {
        let id = format!("{:016x}", fastrand::u64(..));
        let message = PublishMessage::build().payload(body.clone()).message_id(id);
        let ack = self.context.send_publish(self.place.subject.clone(), message).await?;
        timeout(ANSWER_WITHIN, self.messages.next()).await?.context("it ended")??;
        let read = Instant::now();
        ack.await?;
        Ok(read)
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("place", &self.place).finish_non_exhaustive()
    }
}

async fn acknowledged(mut acks: mpsc::Receiver<PublishAckFuture>) -> anyhow::Result<u64> {
    let mut count = 0;
    while let Some(ack) = acks.recv().await {
        let ack = ack.await?;
        ensure!(!ack.duplicate, "the baseline repeated an id");
        count += 1;
    }
    Ok(count)
}
