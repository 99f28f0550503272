//! A reader: its own place, and the consumer of the moment.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tracing::{debug, warn};

use super::consumer::Consumer;
use super::failure::Failure;
use super::link::Link;
use super::message::{self, Arrival};
use super::place::Place;
use super::streams::Streams;
use crate::{BrokerError, Delivery, Start, Subscription, Topic};

/// Consumers in a row that gave nothing, before the caller hears of it.
const FRUITLESS_MAX: usize = 3;

type Opening = BoxFuture<'static, Result<(Consumer, Place), Failure>>;

/// A reader's place in a stream.
pub(super) struct NatsSubscription {
    link: Arc<Link>,
    streams: Arc<Streams>,
    topic: Topic,
    place: Place,
    state: State,
    /// Consumers since the last one that gave something.
    fruitless: usize,
}

enum State {
    /// Kept here, so that a dropped read does not begin anew.
    Opening(Opening),
    Open(Consumer),
    Closed,
}

impl fmt::Debug for NatsSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSubscription")
            .field("topic", &self.topic)
            .field("next", &self.place.next())
            .finish_non_exhaustive()
    }
}

/// What one look at the inbox brought.
enum Step {
    Delivery(Delivery),
    Nothing,
    Doubt(String),
}

impl NatsSubscription {
    /// A reader that has begun: what is published from now on, it will see.
    pub(super) async fn open(
        link: Arc<Link>,
        streams: Arc<Streams>,
        topic: Topic,
        start: Start,
    ) -> Result<Self, Failure> {
        let place = Place::new(topic.kind(), start);
        let state = State::Closed;
        let mut reader = Self { link, streams, topic, place, state, fruitless: 0 };
        reader.consumer().await?.pull().await?;
        Ok(reader)
    }

    /// The consumer, made where there is none. Cancel-safe.
    async fn consumer(&mut self) -> Result<&mut Consumer, Failure> {
        if let State::Closed = self.state {
            let (link, streams) = (Arc::clone(&self.link), Arc::clone(&self.streams));
            let opening = Consumer::open(link, streams, self.topic, self.place.clone());
            self.state = State::Opening(Box::pin(opening));
        }
        if let State::Opening(opening) = &mut self.state {
            let opened = opening.await;
            self.state = State::Closed;
            let (consumer, place) = opened?;
            self.place = place;
            self.state = State::Open(consumer);
        }
        match &mut self.state {
            State::Open(consumer) => Ok(consumer),
            State::Opening(_) | State::Closed => Err(Failure::Restless("it was not made".into())),
        }
    }

    /// Waits for one delivery. Cancel-safe: what is taken from the inbox is given back or noted before the next wait.
    async fn first(&mut self) -> Result<Delivery, Failure> {
        loop {
            let consumer = self.consumer().await?;
            let message = consumer.arrival().await?;
            match message.map_or_else(Step::Doubt, |message| self.step(message)) {
                Step::Delivery(delivery) => return Ok(delivery),
                Step::Nothing => {}
                Step::Doubt(why) => self.give_up(why)?,
            }
        }
    }

    /// One that is there already.
    fn another(&mut self) -> Option<Delivery> {
        loop {
            let State::Open(consumer) = &mut self.state else { return None };
            let message = consumer.next_now()?;
            match self.step(message) {
                Step::Delivery(delivery) => return Some(delivery),
                Step::Nothing => {}
                Step::Doubt(why) => {
                    // What came before the doubt is good; the next read begins anew.
                    self.close(&why);
                    return None;
                }
            }
        }
    }

    fn step(&mut self, message: async_nats::Message) -> Step {
        let State::Open(consumer) = &mut self.state else { return Step::Nothing };
        match message::read(message, consumer.name(), self.topic.kind()) {
            Arrival::Delivery(sent) => {
                if !consumer.is_next(sent.number, sent.bytes) {
                    return Step::Doubt("a message is missing before one that came".to_owned());
                }
                self.fruitless = 0;
                let asked = self.place.came(sent.partition, sent.sequence);
                match sent.delivery {
                    Some(delivery) if asked => Step::Delivery(delivery),
                    Some(_) => Step::Nothing,
                    None => {
                        self.link.events.count("foreign");
                        warn!(topic = %self.topic, sequence = sent.sequence, "skipped a message on a foreign subject");
                        Step::Nothing
                    }
                }
            }
            Arrival::Heartbeat { sent } => {
                self.fruitless = 0;
                if consumer.agrees(sent) {
                    Step::Nothing
                } else {
                    Step::Doubt("a message that was sent did not come".to_owned())
                }
            }
            Arrival::PullEnded { messages, bytes, too_large } => {
                consumer.pull_ended(messages, bytes, too_large);
                Step::Nothing
            }
            Arrival::ConsumerEnded(said) => Step::Doubt(said),
            Arrival::Foreign => {
                self.link.events.count("foreign");
                Step::Nothing
            }
        }
    }

    fn give_up(&mut self, why: String) -> Result<(), Failure> {
        self.close(&why);
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX {
            self.fruitless = 0;
            return Err(Failure::Restless(why));
        }
        Ok(())
    }

    fn close(&mut self, why: &str) {
        self.link.events.count("consumer_replaced");
        debug!(topic = %self.topic, why, "another consumer takes over");
        self.state = State::Closed;
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        let mut deliveries = vec![self.first().await?];
        while deliveries.len() < max {
            match self.another() {
                Some(delivery) => deliveries.push(delivery),
                None => break,
            }
        }
        Ok(deliveries)
    }
}
