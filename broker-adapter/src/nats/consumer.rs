//! A consumer at the server: pulled from, never acknowledged, in the memory of one server, and thrown away at the first
//! doubt. Whoever reads knows its own place and makes another one from there.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy};
use async_nats::jetstream::stream::Info;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::failure::{Failure, Said};
use super::link::Link;
use super::names;
use super::place::{Place, Sight};
use super::pulls::{self, Pulls};
use super::streams::{Purpose, Streams};
use crate::{Partition, Topic};

/// How often the server says that it lives while there is nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence after which a consumer is taken for dead: two heartbeats and a little.
const SILENCE: Duration = Duration::from_secs(5);
/// The server forgets a consumer that nobody pulls from for this long.
const INACTIVE: Duration = Duration::from_secs(30);
/// A stream may change while a consumer is made.
const ATTEMPTS: usize = 3;

/// A consumer with what it still owes.
#[derive(Debug)]
pub(super) struct Consumer {
    trust: Trust,
    subscriber: Subscriber,
    inbox: String,
    pulls: Pulls,
    /// How many messages came.
    came: u64,
    heard: Instant,
}

/// What must stay as it was when the consumer was made, for nothing to be lost unseen.
#[derive(Debug)]
struct Trust {
    link: Arc<Link>,
    stream: String,
    name: String,
    connects: u64,
    slow: u64,
    denied: u64,
}

#[derive(Serialize)]
struct Request<'a> {
    stream_name: &'a str,
    config: consumer::Config,
    action: &'static str,
}

#[derive(Serialize)]
struct InfoRequest {
    subjects_filter: String,
}

impl Consumer {
    /// Makes one where `place` wants to go on, and looks afterwards whether that was a place of the stream.
    pub(super) async fn open(
        link: Arc<Link>,
        streams: Arc<Streams>,
        topic: Topic,
        place: Place,
    ) -> Result<(Self, Place), Failure> {
        link.connected().await?;
        for _ in 0..ATTEMPTS {
            let info = streams.settle(&link, topic, Purpose::Read).await?;
            let partitions = if place.needs_partitions() {
                partitions(&link, &streams, topic).await?
            } else {
                Vec::new()
            };
            let before = sight(&info);
            let mut there = place.clone();
            let (policy, moved) = there.begin(&before, &partitions);
            let subjects = streams.names.subjects(topic);
            let consumer = Self::make(&link, &info.config.name, subjects, policy).await?;
            let after = sight(&streams.settle(&link, topic, Purpose::Read).await?);
            if after.created == before.created && after.end >= before.end {
                if moved {
                    link.events.count("restarted");
                    warn!(%topic, "the stream is another one or went back; reading from its oldest message");
                }
                return Ok((consumer, there));
            }
        }
        Err(Failure::Unsteady { stream: streams.names.stream(topic) })
    }

    async fn make(
        link: &Arc<Link>,
        stream: &str,
        subjects: String,
        policy: consumer::DeliverPolicy,
    ) -> Result<Self, Failure> {
        let trust = Trust::new(link, stream);
        let name = &trust.name;
        let inbox = link.client.new_inbox();
        let subscriber = link.client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| Failure::Client(Said(error.to_string())))?;
        let api = format!("CONSUMER.CREATE.{stream}.{name}.{subjects}");
        let config = consumer::Config {
            name: Some(name.clone()),
            deliver_policy: policy,
            ack_policy: AckPolicy::None,
            filter_subject: subjects,
            inactive_threshold: INACTIVE,
            num_replicas: 1,
            memory_storage: true,
            ..consumer::Config::default()
        };
        let request = Request { stream_name: stream, config, action: "create" };
        // Held from here on: a consumer that was made, but not answered for, is deleted with it.
        let heard = Instant::now();
        let pulls = Pulls::default();
        let consumer = Self { trust, subscriber, inbox, pulls, came: 0, heard };
        match link.request::<consumer::Info>(&api, &request).await? {
            Ok(_) => Ok(consumer),
            Err(error) => {
                Err(Failure::of_jetstream(format!("making a consumer of {stream}"), &error))
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.trust.name
    }

    /// The next message of the inbox, or why there will be none that can be trusted. Cancel-safe.
    pub(super) async fn arrival(&mut self) -> Result<Result<Message, String>, Failure> {
        // Only over a connection that can be trusted, else the request would wait for the next one. Before anything is
        // taken: the server sends the next ones while these are heard.
        let doubt = self.trust.doubt();
        if doubt.is_none() {
            self.pull().await?;
        }
        if let Some(message) = self.next_now() {
            return Ok(Ok(message));
        }
        match doubt {
            Some(doubt) => Ok(Err(doubt)),
            None => Ok(self.wait().await),
        }
    }

    /// Asks for more, where it is time to. Cancel-safe.
    pub(super) async fn pull(&mut self) -> Result<(), Failure> {
        while let Some(pull) = self.pulls.wanted(Instant::now()) {
            let limit = pull.bytes.map(|bytes| format!(r#","max_bytes":{bytes}"#));
            let request = format!(
                r#"{{"batch":{}{},"expires":{},"idle_heartbeat":{}}}"#,
                pull.messages,
                limit.unwrap_or_default(),
                pulls::EXPIRES.as_nanos(),
                HEARTBEAT.as_nanos()
            );
            let client = &self.trust.link.client;
            let (subject, inbox) = (self.trust.api("CONSUMER.MSG.NEXT"), self.inbox.clone());
            let pulling = client.publish_with_reply(subject, inbox, Bytes::from(request));
            pulling.await.map_err(|error| Failure::Client(Said(error.to_string())))?;
            self.heard = Instant::now();
            self.pulls.asked(pull, self.heard);
        }
        Ok(())
    }

    /// Waits for the next message. Cancel-safe.
    async fn wait(&mut self) -> Result<Message, String> {
        let deadline = self.heard + SILENCE;
        tokio::select! {
            biased;
            message = self.subscriber.next() => {
                message.ok_or_else(|| "the client closed its inbox".to_owned())
            }
            why = self.trust.lost() => Err(why),
            () = sleep_until(deadline) => Err("it is silent".to_owned()),
        }
    }

    /// One that is there already.
    pub(super) fn next_now(&mut self) -> Option<Message> {
        self.subscriber.next().now_or_never().flatten()
    }

    /// A message of so many bytes came with this number; false where one before it did not.
    pub(super) fn is_next(&mut self, number: u64, bytes: usize) -> bool {
        self.heard = Instant::now();
        self.pulls.came(bytes);
        self.came += 1;
        self.came == number
    }

    /// A heartbeat came; false where something sent before it did not come.
    pub(super) fn agrees(&mut self, sent: Option<u64>) -> bool {
        self.heard = Instant::now();
        sent.is_none_or(|sent| sent == self.came)
    }

    /// The server ended a pull of which it still owed that.
    pub(super) fn pull_ended(&mut self, messages: usize, bytes: usize, too_large: bool) {
        self.heard = Instant::now();
        self.pulls.ended(messages, bytes, too_large);
    }
}

impl Trust {
    fn new(link: &Arc<Link>, stream: &str) -> Self {
        let signals = link.events.signals();
        let signals = signals.borrow();
        Self {
            link: Arc::clone(link),
            stream: stream.to_owned(),
            name: format!("purgebus-{:016x}", fastrand::u64(..)),
            connects: link.connects(),
            slow: signals.slow,
            denied: signals.denied(),
        }
    }

    /// The connection is another one, or lost a message, or may not be used.
    fn doubt(&self) -> Option<String> {
        if !self.link.is_connected() || self.link.connects() != self.connects {
            return Some("the connection is another one".to_owned());
        }
        let signals = self.link.events.signals();
        let signals = signals.borrow();
        if signals.slow != self.slow {
            return Some("the client dropped a message".to_owned());
        }
        let denial = signals.denial(self.denied, &self.api("CONSUMER.MSG.NEXT"));
        denial.map(str::to_owned)
    }

    /// Waits until there is a doubt.
    async fn lost(&self) -> String {
        let mut signals = self.link.events.signals();
        loop {
            if let Some(doubt) = self.doubt() {
                return doubt;
            }
            if signals.changed().await.is_err() {
                return "the client ended".to_owned();
            }
        }
    }

    fn api(&self, verb: &str) -> String {
        format!("$JS.API.{verb}.{}.{}", self.stream, self.name)
    }
}

impl Drop for Consumer {
    /// Spares the server the wait; where this does not go out at once, the server forgets it by itself.
    fn drop(&mut self) {
        let client = &self.trust.link.client;
        if self.trust.link.is_connected() {
            let subject = self.trust.api("CONSUMER.DELETE");
            drop(
                client.publish_with_reply(subject, client.new_inbox(), Bytes::new()).now_or_never(),
            );
        }
    }
}

/// What a stream's state says to a reader.
pub(super) fn sight(info: &Info) -> Sight {
    let end = info.state.last_sequence.saturating_add(1);
    let first = if info.state.messages == 0 { end } else { info.state.first_sequence };
    Sight { first, end, created: info.created }
}

/// The partitions that are configured, and those that hold messages.
pub(super) async fn partitions(
    link: &Link,
    streams: &Streams,
    topic: Topic,
) -> Result<Vec<Partition>, Failure> {
    let mut all: Vec<Partition> = (0..streams.partitions).map(Partition).collect();
    all.extend(occupied(link, streams, topic).await?);
    Ok(all)
}

/// The partitions that hold messages.
pub(super) async fn occupied(
    link: &Link,
    streams: &Streams,
    topic: Topic,
) -> Result<Vec<Partition>, Failure> {
    let stream = streams.names.stream(topic);
    let request = InfoRequest { subjects_filter: streams.names.subjects(topic) };
    let answer = link.request::<Occupied>(&format!("STREAM.INFO.{stream}"), &request).await?;
    let info =
        answer.map_err(|error| Failure::of_jetstream(format!("looking at {stream}"), &error))?;
    let subjects = info.state.subjects.unwrap_or_default();
    Ok(subjects.keys().filter_map(|subject| names::partition(subject)).collect())
}

#[derive(serde::Deserialize)]
struct Occupied {
    state: OccupiedState,
}

#[derive(serde::Deserialize)]
struct OccupiedState {
    subjects: Option<std::collections::HashMap<String, u64>>,
}
