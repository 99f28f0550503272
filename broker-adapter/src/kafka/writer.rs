//! The idempotent producer: many calls at once, each in order, one after the other in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex as ShortLock;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::call::Call;
use super::client::{MESSAGE_BYTES_MAX, Settings};
use super::stall::Silence;
use super::thread;
use super::trouble::{Failure, Trouble, is_silence};
use super::voice::Voice;
use crate::{BrokerError, Message, Partition};

/// A call ends within this; librdkafka gives up on its messages before.
const CALL_WITHIN: Duration = Duration::from_secs(8);
/// A full queue is tried again this often, should nobody wake us.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_millis(50);
/// The thread looks for its end this often.
const POLL: Duration = Duration::from_millis(100);

/// Writes; recreates its producer when that is beyond repair, or has had no answer for long.
#[derive(Debug)]
pub(super) struct Writer {
    settings: Settings,
    trouble: Trouble,
    producer: ShortLock<Arc<Producer>>,
    silence: ShortLock<Silence>,
    /// Whoever holds it puts messages into the queue; fair, so that calls keep their order in it.
    turn: Mutex<()>,
}

impl Writer {
    pub(super) fn new(settings: Settings, trouble: Trouble) -> Result<Self, BrokerError> {
        let producer = Producer::start(&settings, &trouble)?;
        let producer = ShortLock::new(Arc::new(producer));
        let silence = ShortLock::new(Silence::new());
        Ok(Self { settings, trouble, producer, silence, turn: Mutex::new(()) })
    }

    /// Returns when all copies in step have all messages; on an error some may have landed.
    pub(super) async fn write(
        &self,
        topic: &str,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), WriteError> {
        if messages.is_empty() {
            return Ok(());
        }
        if let Some(large) = messages.iter().find(|one| one.body.len() > MESSAGE_BYTES_MAX) {
            let why = format!(
                "a message of {} bytes is larger than {MESSAGE_BYTES_MAX}",
                large.body.len()
            );
            return Err(WriteError::Final(Failure::refused(publish_to(topic), why)));
        }
        let call = Arc::new(Call::of(messages.len()));
        let deadline = Instant::now() + CALL_WITHIN;
        let written = async {
            let producer = self.enqueue(topic, partition, messages, &call).await?;
            let done = call.done().await;
            // A producer that is beyond repair is replaced before the caller repeats.
            producer.is_dead().then(|| self.replace(&producer)).transpose()?;
            done.map_err(WriteError::Code)
        };
        let written = timeout_at(deadline, written)
            .await
            .unwrap_or(Err(WriteError::Code(Code::OperationTimedOut)));
        self.mind_silence(&written);
        written
    }

    /// Replaces a producer that nobody has answered for long. Calls that wait for the old one wait out their time.
    fn mind_silence(&self, written: &Result<(), WriteError>) {
        let silent = matches!(written, Err(WriteError::Code(code)) if is_silence(Some(*code)));
        let mut silence = self.silence.lock();
        if !silent {
            silence.over();
        } else if silence.goes_on() {
            let stalled = Arc::clone(&self.producer.lock());
            if let Err(error) = self.replace(&stalled) {
                warn!(?error, "cannot start another producer");
            }
        }
    }

    /// In words.
    pub(super) fn error(&self, topic: &str, error: WriteError) -> BrokerError {
        match error {
            WriteError::Final(error) => error,
            WriteError::Code(code) => self.trouble.error(publish_to(topic), Some(code)),
        }
    }

    async fn enqueue(
        &self,
        topic: &str,
        partition: Partition,
        messages: &[Message],
        call: &Arc<Call>,
    ) -> Result<Arc<Producer>, WriteError> {
        let partition = i32::try_from(partition.0).map_err(|_| Code::UnknownPartition)?;
        let _turn = self.turn.lock().await;
        let producer = self.producer()?;
        for message in messages {
            let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(call))
                .partition(partition)
                .payload(&message.body[..]);
            record.key = message.key.as_deref().map(str::as_bytes);
            loop {
                match producer.inner.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => {
                        record = unsent;
                        // Backpressure: acknowledgements make room, or the messages' own timeout does.
                        timeout(LOOK_FOR_ROOM_EVERY, producer.voice.room()).await.ok();
                    }
                    Err((error, _)) => {
                        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                        if code == Code::Fatal {
                            self.replace(&producer)?;
                        }
                        return Err(code.into());
                    }
                }
            }
        }
        Ok(producer)
    }

    fn producer(&self) -> Result<Arc<Producer>, WriteError> {
        let producer = Arc::clone(&self.producer.lock());
        if producer.is_dead() { self.replace(&producer) } else { Ok(producer) }
    }

    /// Starts another producer, unless that has been done; the old one ends by itself.
    fn replace(&self, dead: &Arc<Producer>) -> Result<Arc<Producer>, WriteError> {
        let mut current = self.producer.lock();
        if Arc::ptr_eq(&current, dead) {
            let why = dead.inner.client().fatal_error().map(|(_, why)| why);
            let reason = why.as_deref().unwrap_or("the cluster has not answered for long");
            warn!(reason, "starting another producer");
            let fresh =
                Producer::start(&self.settings, &self.trouble).map_err(WriteError::Final)?;
            *current = Arc::new(fresh);
        }
        Ok(Arc::clone(&current))
    }
}

/// Why messages were not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// As librdkafka or the broker says.
    Code(Code),
    /// In words already.
    Final(BrokerError),
}

impl From<Code> for WriteError {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

fn publish_to(topic: &str) -> String {
    format!("publish to topic {topic}")
}

/// A producer and the thread that hears its acknowledgements.
struct Producer {
    inner: Arc<BaseProducer<Voice>>,
    voice: Voice,
    stop: Arc<AtomicBool>,
}

impl Producer {
    fn start(settings: &Settings, trouble: &Trouble) -> Result<Self, BrokerError> {
        let voice = Voice::new(trouble.clone());
        let inner = BaseProducer::from_config_and_context(&settings.write(), voice.clone())
            .map_err(|error| Failure::refused("set up a Kafka producer", error))?;
        let inner = Arc::new(inner);
        let stop = Arc::new(AtomicBool::new(false));
        let (ours, stopped) = (Arc::clone(&inner), Arc::clone(&stop));
        thread::start("kafka-write", move || {
            while !stopped.load(Ordering::Acquire) {
                ours.poll(POLL);
            }
            // The last owner waits for librdkafka's threads, which must not be a caller.
            while Arc::strong_count(&ours) > 1 {
                ours.poll(POLL / 10);
            }
        })?;
        Ok(Self { inner, voice, stop })
    }
}

impl Producer {
    /// Whether it can never work again.
    fn is_dead(&self) -> bool {
        self.inner.client().fatal_error().is_some()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("voice", &self.voice).finish_non_exhaustive()
    }
}
