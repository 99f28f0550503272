//! Publishing: many messages on the way at once, in order, each answered for.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, context::PublishAckFuture};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::error::Error as _;
use std::pin::pin;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failure::{Failure, Said};
use super::link::Link;
use super::streams::Streams;
use crate::{Message, Partition, Topic, TopicKind};

/// Messages of one call on the way.
const WINDOW: usize = 1_024;
/// KiB of all calls on the way.
const KIB_MAX: u32 = 64 << 10;

/// What all calls share.
#[derive(Debug)]
pub(super) struct Outbox {
    kib: Semaphore,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { kib: Semaphore::new(KIB_MAX as usize) }
    }

    /// Publishes in order and waits for every acknowledgement.
    pub(super) async fn publish(
        &self,
        link: &Link,
        streams: &Streams,
        topic: Topic,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), Failure> {
        let subjects = subjects(streams, topic, partition, messages)?;
        link.connected().await?;
        streams.writable(link, topic).await?;
        match self.attempt(link, streams, topic, &subjects, messages).await {
            // The stream was there once. Made anew if it is gone; nobody took these messages.
            Err(Failure::NoStream { .. }) => {
                streams.forget(topic);
                streams.writable(link, topic).await?;
                self.attempt(link, streams, topic, &subjects, messages).await
            }
            other => other,
        }
    }

    async fn attempt(
        &self,
        link: &Link,
        streams: &Streams,
        topic: Topic,
        subjects: &[String],
        messages: &[Message],
    ) -> Result<(), Failure> {
        // A denial names one subject; the first stands for all, since a grant covers the topic.
        let Some(first) = subjects.first() else { return Ok(()) };
        let stream = streams.names.stream(topic);
        link.guarded(first, self.send_all(link, &stream, subjects, messages)).await?
    }

    async fn send_all(
        &self,
        link: &Link,
        stream: &str,
        subjects: &[String],
        messages: &[Message],
    ) -> Result<(), Failure> {
        let mut acks = FuturesUnordered::new();
        let of = |index: usize| &subjects[index.min(subjects.len() - 1)];
        for (index, message) in messages.iter().enumerate() {
            let subject = of(index);
            while acks.len() >= WINDOW {
                if let Some(answer) = acks.next().await {
                    answer?;
                }
            }
            // While this one waits for its turn, earlier ones must be heard: they hold what it waits for.
            let mut sending = pin!(self.send(link, subject, message));
            let (permit, ack) = loop {
                tokio::select! {
                    biased;
                    sent = &mut sending => break sent?,
                    Some(answer) = acks.next() => answer?,
                }
            };
            acks.push(acknowledged(link, stream, subject, message, permit, ack));
        }
        while let Some(answer) = acks.next().await {
            answer?;
        }
        Ok(())
    }

    async fn send(
        &self,
        link: &Link,
        subject: &str,
        message: &Message,
    ) -> Result<(SemaphorePermit<'_>, PublishAckFuture), Failure> {
        let kib = u32::try_from(message.body.len() / 1_024 + 1).unwrap_or(KIB_MAX).min(KIB_MAX);
        let permit = self.kib.acquire_many(kib).await;
        let permit = permit.map_err(|error| Failure::Client(Said(error.to_string())))?;
        let mut publish = PublishMessage::build().payload(message.body.clone());
        if let Some(id) = &message.id {
            publish = publish.message_id(id);
        }
        let sent = link.context.send_publish(subject.to_owned(), publish).await;
        let ack = sent.map_err(|error| explain(link, subject, message, &error))?;
        Ok((permit, ack))
    }
}

/// Waits for a message's acknowledgement, which must be of our stream.
async fn acknowledged(
    link: &Link,
    stream: &str,
    subject: &str,
    message: &Message,
    permit: SemaphorePermit<'_>,
    ack: PublishAckFuture,
) -> Result<(), Failure> {
    let answer = ack.await;
    drop(permit);
    let answer = answer.map_err(|error| explain(link, subject, message, &error))?;
    if answer.stream == stream {
        return Ok(());
    }
    let (subject, stream) = (subject.to_owned(), stream.to_owned());
    Err(Failure::OtherStream { subject, other: answer.stream, stream })
}

fn explain(link: &Link, subject: &str, message: &Message, error: &PublishError) -> Failure {
    let what = || format!("publishing to {subject}");
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            let (size, max) = (message.body.len(), link.client.max_payload());
            Failure::TooLarge { size, max }
        }
        PublishErrorKind::StreamNotFound => Failure::NoStream { subject: subject.to_owned() },
        PublishErrorKind::TimedOut => link.timed_out(what()),
        _ => match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
            Some(error) => Failure::of_jetstream(what(), error),
            None => Failure::Client(Said(error.to_string())),
        },
    }
}

/// One subject for a log, one for each message of a board.
fn subjects(
    streams: &Streams,
    topic: Topic,
    partition: Partition,
    messages: &[Message],
) -> Result<Vec<String>, Failure> {
    match topic.kind() {
        TopicKind::Log => Ok(vec![streams.names.of_partition(topic, partition)]),
        TopicKind::Board => messages
            .iter()
            .map(|message| {
                let key = message.key.as_ref().ok_or(Failure::NoKey)?;
                Ok(streams.names.of_key(topic, key))
            })
            .collect(),
    }
}
