//! What an operator, or a mishap, does to a stream of the bus at NATS.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use schemas::{Frame, LogMessage, wire};
use tests::bus::Wire;
use tests::servers::nats::Nats;

/// Hands on the log of normal priority.
#[derive(Debug)]
pub(crate) struct Log {
    admin: Context,
    name: String,
}

impl Log {
    pub(crate) async fn of(wire: &Wire, nats: &Nats) -> Self {
        Self { admin: nats.admin().await, name: wire.stream("normal") }
    }

    async fn stream(&self) -> Stream {
        self.admin.get_stream(&self.name).await.expect("the publisher has made it")
    }

    /// Every frame of the normal log, by its place in the stream.
    pub(crate) async fn frames(&self) -> Vec<(u64, Frame)> {
        let frames =
            self.messages().await.into_iter().filter_map(|(place, message)| match message {
                LogMessage::Frame(frame) => Some((place, frame)),
                LogMessage::Heartbeat(_) | LogMessage::Lost(_) => None,
            });
        frames.collect()
    }

    /// Deletes all that this publisher said, heartbeats too.
    pub(crate) async fn silence(&self, publisher: &str) {
        let said_by = |message: &LogMessage| match message {
            LogMessage::Frame(frame) => frame.publisher.clone(),
            LogMessage::Heartbeat(heartbeat) => heartbeat.publisher.clone(),
            LogMessage::Lost(lost) => lost.publisher.clone(),
        };
        let messages = self.messages().await.into_iter();
        let said = messages.filter(|(_, message)| said_by(message).as_str() == publisher);
        self.delete_at(said.map(|(place, _)| place)).await;
    }

    async fn messages(&self) -> Vec<(u64, LogMessage)> {
        let mut stream = self.stream().await;
        let state = &stream.info().await.expect("its state").state;
        let places = state.first_sequence..=state.last_sequence;
        let mut messages = Vec::new();
        for place in places {
            // A place may be empty.
            let Ok(message) = stream.get_raw_message(place).await else { continue };
            if let Ok(message) = wire::decode_log(&message.payload) {
                messages.push((place, message));
            }
        }
        messages
    }

    /// The bytes at these places.
    pub(crate) async fn bytes(&self, places: impl Iterator<Item = u64>) -> Vec<Bytes> {
        let stream = self.stream().await;
        let mut bytes = Vec::new();
        for place in places {
            bytes.push(stream.get_raw_message(place).await.expect("it is there").payload);
        }
        bytes
    }

    /// Deletes the messages of these frames; heartbeats stay.
    pub(crate) async fn delete<'a>(&self, frames: impl IntoIterator<Item = &'a (u64, Frame)>) {
        self.delete_at(frames.into_iter().map(|(place, _)| *place)).await;
    }

    async fn delete_at(&self, places: impl Iterator<Item = u64>) {
        let stream = self.stream().await;
        for place in places {
            assert!(stream.delete_message(place).await.expect("an answer"), "it was there");
        }
    }

    /// Deletes it; whoever needs it makes it again.
    pub(crate) async fn vanish(&self) {
        self.admin.delete_stream(&self.name).await.expect("it is deleted");
    }

    /// Appends a message, as whoever owns the broker can.
    pub(crate) async fn append(&self, body: Bytes) {
        let (prefix, topic) = self.name.rsplit_once('-').expect("a name of ours");
        let subject = format!("{prefix}.{topic}.0");
        self.admin.publish(subject, body).await.expect("it is sent").await.expect("it is taken");
    }

    /// Removes all that it holds.
    pub(crate) async fn purge(&self) {
        self.stream().await.purge().await.expect("it is purged");
    }
}
