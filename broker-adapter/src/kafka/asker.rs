//! Asks the cluster: which partitions, what they keep, where a time begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;
use tracing::warn;

use super::client::Settings;
use super::stall::Silence;
use super::thread;
use super::trouble::{Failure, Trouble, is_silence};
use super::voice::Voice;
use crate::{Bounds, BrokerError, Partition, PartitionBounds, Position, Positions, Start};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A leader is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The thread looks for its end this often.
const POLL: Duration = Duration::from_millis(100);

/// Asks; to be used from threads that may block. Cheap to clone.
#[derive(Clone)]
pub(super) struct Asker {
    settings: Settings,
    trouble: Trouble,
    state: Arc<Mutex<State>>,
}

struct State {
    client: Client,
    silence: Silence,
}

/// A client and the thread that hears what librdkafka says besides. It belongs to no group: no question shall wait for
/// a group's coordinator.
struct Client {
    consumer: Arc<BaseConsumer<Voice>>,
    stop: Arc<AtomicBool>,
}

impl Client {
    fn start(settings: &Settings, trouble: &Trouble) -> Result<Self, BrokerError> {
        let voice = Voice::new(trouble.clone());
        let consumer = BaseConsumer::from_config_and_context(&settings.administer(), voice)
            .map_err(|error| Failure::refused("set up a Kafka client", error))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, stopped) = (Arc::clone(&consumer), Arc::clone(&stop));
        thread::start("kafka-ask", move || {
            // The last owner waits for librdkafka's threads, which must not be somebody who asks.
            while !stopped.load(Ordering::Acquire) || Arc::strong_count(&ours) > 1 {
                // Nothing is assigned, so no record comes.
                drop(ours.poll(POLL));
            }
        })?;
        Ok(Self { consumer, stop })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Asker {
    pub(super) fn new(settings: &Settings, trouble: &Trouble) -> Result<Self, BrokerError> {
        let client = Client::start(settings, trouble)?;
        let state = Arc::new(Mutex::new(State { client, silence: Silence::new() }));
        Ok(Self { settings: settings.clone(), trouble: trouble.clone(), state })
    }

    /// Asks something; the next question goes to another client where this one has had no answer for long.
    fn ask<T>(
        &self,
        question: impl FnOnce(&BaseConsumer<Voice>) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let consumer = Arc::clone(&self.state.lock().client.consumer);
        let answer = question(&consumer);
        let silent = answer.as_ref().is_err_and(|error| is_silence(error.rdkafka_error_code()));
        let mut state = self.state.lock();
        if !Arc::ptr_eq(&state.client.consumer, &consumer) {
            return answer;
        }
        if !silent {
            state.silence.over();
        } else if state.silence.goes_on() {
            match Client::start(&self.settings, &self.trouble) {
                Ok(fresh) => {
                    warn!("the cluster has not answered for long; asking with another client");
                    state.client = fresh;
                }
                Err(error) => warn!(%error, "the cluster has not answered for long"),
            }
        }
        answer
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<u32>, BrokerError> {
        let doing = || format!("look up topic {topic}");
        let metadata = self.ask(|client| client.fetch_metadata(Some(topic), ANSWER_WITHIN));
        let metadata =
            metadata.map_err(|error| self.trouble.error(doing(), error.rdkafka_error_code()))?;
        self.trouble.over();
        let Some(topic) = metadata.topics().first() else { return Ok(None) };
        match topic.error().map(Code::from) {
            None => Ok(u32::try_from(topic.partitions().len()).ok().filter(|count| *count > 0)),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            code => Err(self.trouble.error(doing(), code)),
        }
    }

    /// What each partition keeps.
    pub(super) fn bounds(&self, topic: &str) -> Result<Bounds, BrokerError> {
        let count = self.partitions(topic)?.ok_or_else(|| {
            self.trouble.error(format!("look up topic {topic}"), Some(Code::UnknownTopic))
        })?;
        let bounds = (0..count).map(|partition| {
            let (first, end) = self.watermarks(topic, id(partition))?;
            let [first, end] = [first, end].map(|offset| Position(offset.max(0).unsigned_abs()));
            Ok((Partition(partition), PartitionBounds { first, end }))
        });
        bounds.collect()
    }

    /// Waits a little for a leader: a new topic is shown before its leaders know that they are.
    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let asked = self.ask(|client| client.fetch_watermarks(topic, partition, ANSWER_WITHIN));
            let code = asked.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            let leaderless =
                matches!(code, Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable));
            if !leaderless || Instant::now() > deadline {
                return asked.map_err(|error| self.error(topic, &error));
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// The next message to read of each partition, and what they keep.
    pub(super) fn place(
        &self,
        topic: &str,
        start: &Start,
    ) -> Result<(Positions, Bounds), BrokerError> {
        // Before the time is looked up: what comes in between is then read, not skipped.
        let bounds = self.bounds(topic)?;
        let places = match start {
            Start::Since(time) => self.since(topic, *time, &bounds)?,
            _ => BTreeMap::new(),
        };
        let place = |(partition, kept): (&Partition, &PartitionBounds)| {
            let place = match start {
                Start::Oldest => kept.first,
                Start::Newest => kept.end,
                Start::At(positions) => within(positions.get(partition).copied(), *kept),
                Start::Since(_) => places.get(partition).copied().unwrap_or(kept.end),
            };
            (*partition, place)
        };
        Ok((bounds.iter().map(place).collect(), bounds))
    }

    /// Exact because the broker stamps the records when it appends them.
    fn since(
        &self,
        topic: &str,
        time: Timestamp,
        bounds: &Bounds,
    ) -> Result<Positions, BrokerError> {
        let mut asked = TopicPartitionList::new();
        for partition in bounds.keys() {
            let time = Offset::Offset(first_millisecond(time));
            asked
                .add_partition_offset(topic, id(partition.0), time)
                .map_err(|error| self.error(topic, &error))?;
        }
        let answer = self.ask(|client| client.offsets_for_times(asked, ANSWER_WITHIN));
        let answer = answer.map_err(|error| self.error(topic, &error))?;
        let mut places = Positions::new();
        for element in answer.elements() {
            element.error().map_err(|error| self.error(topic, &error))?;
            if let (Offset::Offset(offset), Ok(partition)) =
                (element.offset(), u32::try_from(element.partition()))
            {
                places.insert(Partition(partition), Position(offset.max(0).unsigned_abs()));
            }
        }
        Ok(places)
    }

    fn error(&self, topic: &str, error: &KafkaError) -> BrokerError {
        self.trouble.error(format!("look up places in topic {topic}"), error.rdkafka_error_code())
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

/// `position` where it is within what is kept, else the oldest.
pub(super) fn within(position: Option<Position>, kept: PartitionBounds) -> Position {
    position.filter(|position| (kept.first..=kept.end).contains(position)).unwrap_or(kept.first)
}

/// The first whole millisecond at `time` or later; negative ones have another meaning in the protocol.
fn first_millisecond(time: Timestamp) -> i64 {
    let milliseconds = time.as_millisecond();
    let rounded_down = Timestamp::from_millisecond(milliseconds).is_ok_and(|whole| whole < time);
    (milliseconds + i64::from(rounded_down)).max(0)
}

/// Kafka's partition numbers are signed.
pub(super) fn id(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Does something that blocks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::unavailable("ask the cluster", error)))
}
