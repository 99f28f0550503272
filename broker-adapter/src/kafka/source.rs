//! A client that reads or commits positions, replaced when nobody has answered it for long.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use tokio::time::Instant;
use tracing::warn;

use super::stall::Silence;
use super::thread;
use super::trouble::{Failure, is_silence};
use super::voice::Voice;
use crate::BrokerError;

/// When nothing comes, the cluster is asked this often whether it is there.
const LISTEN_EVERY: Duration = Duration::from_secs(3);
/// Longest wait for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Where records come from and positions go to.
pub(super) struct Source {
    config: ClientConfig,
    voice: Voice,
    consumer: BaseConsumer<Voice>,
    silence: Silence,
    listen_at: Instant,
}

impl Source {
    pub(super) fn start(config: ClientConfig, voice: Voice) -> Result<Self, BrokerError> {
        let consumer = consumer(&config, &voice)?;
        let listen_at = Instant::now() + LISTEN_EVERY;
        Ok(Self { config, voice, consumer, silence: Silence::new(), listen_at })
    }

    pub(super) fn assign(&self, places: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.assign(places)
    }

    pub(super) fn commit(&self, places: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.commit(places, CommitMode::Async)
    }

    pub(super) fn poll(&self, patience: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.poll(patience)
    }

    /// To be told now and then whether something has come. Starts another client where one is due, to which partitions
    /// must then be assigned: `true`.
    pub(super) fn mind_silence(&mut self, heard: bool, topic: &str) -> bool {
        let now = Instant::now();
        if !heard && now < self.listen_at {
            return false;
        }
        let answer = || self.consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).map(drop);
        let silent = |error: KafkaError| is_silence(error.rdkafka_error_code());
        let silent = !heard && answer().is_err_and(silent);
        self.listen_at = Instant::now() + LISTEN_EVERY;
        if !silent {
            self.silence.over();
            return false;
        }
        self.silence.goes_on() && self.replace(topic)
    }

    fn replace(&mut self, topic: &str) -> bool {
        warn!(topic, "the cluster has not answered for long; going on with another client");
        let fresh = match consumer(&self.config, &self.voice) {
            Ok(fresh) => fresh,
            Err(error) => {
                warn!(topic, %error, "cannot start another client");
                return false;
            }
        };
        let stalled = std::mem::replace(&mut self.consumer, fresh);
        // Its end may take long.
        if let Err(error) = thread::start("kafka-end", move || drop(stalled)) {
            warn!(%error, "a client ended in the way of the one after it");
        }
        true
    }
}

fn consumer(config: &ClientConfig, voice: &Voice) -> Result<BaseConsumer<Voice>, BrokerError> {
    BaseConsumer::from_config_and_context(config, voice.clone())
        .map_err(|error| Failure::refused("set up a Kafka client", error))
}
