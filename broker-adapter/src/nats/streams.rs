//! The streams: made when missing, updated where that loses nothing, refused where they are something else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use super::failure::Failure;
use super::link::Link;
use super::{NatsConfig, difference, names::Names};
use crate::{Topic, TopicKind};

/// Readers of one stream; without a number, 2.15 takes 1,000.
pub(super) const CONSUMERS_MAX: i32 = 100_000;
/// How long a message id is remembered: longer than a publisher repeats without a new epoch.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// A board holds one message for each agent or publisher. The server sets this aside.
pub(super) const BOARD_BYTES_MAX: i64 = 256 << 20;
/// Another process may make or change a stream at the same time.
const ATTEMPTS: usize = 3;

/// What the streams of an installation shall be.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) names: Names,
    pub(super) partitions: u32,
    replicas: usize,
    retention: Duration,
    retention_bytes: i64,
    ready: Mutex<HashMap<Topic, Arc<OnceCell<()>>>>,
}

/// What a stream is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

#[derive(Serialize)]
struct Nothing {}

impl Streams {
    pub(super) fn new(config: &NatsConfig) -> Self {
        Self {
            names: Names::new(&config.prefix),
            partitions: config.partitions,
            replicas: config.replicas,
            retention: config.retention,
            retention_bytes: i64::try_from(config.retention_bytes.as_u64()).unwrap_or(i64::MAX),
            ready: Mutex::default(),
        }
    }

    /// Makes sure, once, that a topic can be written to.
    pub(super) async fn writable(&self, link: &Link, topic: Topic) -> Result<(), Failure> {
        let cell = Arc::clone(self.ready.lock().entry(topic).or_default());
        let settle = async || match self.settle(link, topic, Purpose::Write).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_denied() => {
                warn!(
                    stream = self.names.stream(topic),
                    "may not look at the stream; used as it is"
                );
                Ok(())
            }
            Err(failure) => Err(failure),
        };
        cell.get_or_try_init(settle).await?;
        Ok(())
    }

    /// Looks again before the next write.
    pub(super) fn forget(&self, topic: Topic) {
        self.ready.lock().remove(&topic);
    }

    /// The stream of a topic as it is now; made when it is missing.
    pub(super) async fn settle(
        &self,
        link: &Link,
        topic: Topic,
        purpose: Purpose,
    ) -> Result<Info, Failure> {
        let name = self.names.stream(topic);
        let wanted = self.config(topic);
        for _ in 0..ATTEMPTS {
            match link.request::<Info>(&format!("STREAM.INFO.{name}"), &Nothing {}).await? {
                Ok(found) => return self.adapt(link, found, &wanted, purpose).await,
                Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                Err(error) => {
                    return Err(Failure::of_jetstream(format!("looking at {name}"), &error));
                }
            }
            if let Some(made) = self.create(link, &wanted).await? {
                return Ok(made);
            }
        }
        Err(Failure::Unsteady { stream: name })
    }

    /// None where another process was first.
    async fn create(&self, link: &Link, wanted: &Config) -> Result<Option<Info>, Failure> {
        let subject = format!("STREAM.CREATE.{}", wanted.name);
        match link.request::<Info>(&subject, wanted).await {
            Ok(Ok(made)) => {
                info!(stream = wanted.name, "stream made");
                Ok(Some(made))
            }
            Ok(Err(error)) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => Ok(None),
            Ok(Err(error)) => Err(Failure::of_jetstream(format!("making {}", wanted.name), &error)),
            Err(failure) if failure.is_denied() => Err(Failure::MayNotCreate {
                stream: wanted.name.clone(),
                grant: format!("$JS.API.{subject}"),
                subjects: wanted.subjects.join(", "),
            }),
            Err(failure) => Err(failure),
        }
    }

    async fn adapt(
        &self,
        link: &Link,
        found: Info,
        wanted: &Config,
        purpose: Purpose,
    ) -> Result<Info, Failure> {
        difference::check(&found.config, wanted, self.partitions, purpose)?;
        let Some(better) = difference::better(&found.config, wanted, purpose) else {
            return Ok(found);
        };
        let name = &wanted.name;
        match link.request::<Info>(&format!("STREAM.UPDATE.{name}"), &better).await {
            Ok(Ok(updated)) => {
                info!(stream = name, "stream updated to the configuration");
                Ok(updated)
            }
            // What is there can be used; whoever runs the server reads why it is not as configured.
            Ok(Err(error)) => {
                warn!(stream = name, %error, "the stream differs from the configuration, and cannot be updated");
                Ok(found)
            }
            Err(failure) if failure.is_denied() => {
                warn!(
                    stream = name,
                    "the stream differs from the configuration, and may not be updated"
                );
                Ok(found)
            }
            Err(failure) => Err(failure),
        }
    }

    /// What we would make.
    fn config(&self, topic: Topic) -> Config {
        let common = Config {
            name: self.names.stream(topic),
            description: Some(format!("Purgebus: {topic}")),
            subjects: vec![self.names.subjects(topic)],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            num_replicas: self.replicas,
            max_consumers: CONSUMERS_MAX,
            max_messages: -1,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        match topic.kind() {
            TopicKind::Log => Config {
                max_messages_per_subject: -1,
                max_age: self.retention,
                max_bytes: self.retention_bytes,
                duplicate_window: DUPLICATE_WINDOW.min(self.retention),
                ..common
            },
            TopicKind::Board => {
                Config { max_messages_per_subject: 1, max_bytes: BOARD_BYTES_MAX, ..common }
            }
        }
    }
}
