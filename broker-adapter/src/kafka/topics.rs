//! Topics as they must be: created when missing, checked when present.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex as ShortLock;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::asker::{Asker, blocking, id};
use super::client::{MESSAGE_BYTES_MAX, Settings};
use super::config::KafkaConfig;
use super::trouble::{Failure, Trouble};
use crate::{BrokerError, Topic, TopicKind};

type Admin = AdminClient<DefaultClientContext>;

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// A topic that was just created is known to all brokers within this.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// What the caller is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Takes a topic as others want it.
    Read,
    /// Makes it what its own configuration says.
    Write,
}

/// Looks after topics.
#[derive(Debug)]
pub(super) struct Topics {
    settings: Settings,
    config: KafkaConfig,
    asker: Asker,
    trouble: Trouble,
    ready: ShortLock<BTreeMap<&'static str, Use>>,
    /// One at a time looks after them.
    turn: Mutex<()>,
}

impl Topics {
    pub(super) fn new(
        settings: Settings,
        config: KafkaConfig,
        asker: Asker,
        trouble: Trouble,
    ) -> Self {
        let ready = ShortLock::default();
        Self { settings, config, asker, trouble, ready, turn: Mutex::new(()) }
    }

    /// Its name at the cluster.
    pub(super) fn name(&self, topic: Topic) -> String {
        format!("{}.{}", self.config.prefix, topic.name())
    }

    /// Returns once the topic is as it must be; at once where that is known.
    pub(super) async fn ensure(&self, topic: Topic, usage: Use) -> Result<(), BrokerError> {
        if self.is_ready(topic, usage) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.is_ready(topic, usage) {
            return Ok(());
        }
        let name = self.name(topic);
        let partitions = self.partitions(&name).await?;
        let admin: Admin = self
            .settings
            .administer()
            .create()
            .map_err(|error| Failure::refused("set up a Kafka client", error))?;
        let outcome = match partitions {
            None => self.create(&admin, &name, topic.kind()).await,
            Some(partitions) => self.check(&admin, &name, topic.kind(), partitions, usage).await,
        };
        // Its end waits for its threads.
        blocking(move || {
            drop(admin);
            Ok(())
        })
        .await?;
        outcome?;
        self.ready.lock().insert(topic.name(), usage);
        Ok(())
    }

    /// The topic may not be any more what it was.
    pub(super) fn doubt(&self, topic: Topic) {
        self.ready.lock().remove(topic.name());
    }

    fn is_ready(&self, topic: Topic, usage: Use) -> bool {
        self.ready.lock().get(topic.name()).is_some_and(|ready| *ready >= usage)
    }

    async fn partitions(&self, name: &str) -> Result<Option<u32>, BrokerError> {
        let (asker, name) = (self.asker.clone(), name.to_owned());
        blocking(move || asker.partitions(&name)).await
    }

    async fn create(&self, admin: &Admin, name: &str, kind: TopicKind) -> Result<(), BrokerError> {
        let doing = || format!("create topic {name}");
        let wanted = self.wanted(kind);
        let replication = TopicReplication::Fixed(self.config.replicas);
        let mut topic = NewTopic::new(name, id(self.partitions_of(kind)), replication);
        topic.config = wanted.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let answer = admin.create_topics([&topic], &options()).await;
        match first_code(answer, |results| results.into_iter().next()) {
            Ok(()) => info!(topic = name, "topic created"),
            Err(Code::TopicAlreadyExists) => {}
            Err(code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                let why = format!(
                    "there is no such topic, and the user may not create it: create it, or allow that ({code:?})"
                );
                return Err(Failure::refused(doing(), why));
            }
            Err(code) => return Err(self.trouble.error(doing(), Some(code))),
        }
        let deadline = Instant::now() + KNOWN_WITHIN;
        while self.partitions(name).await.is_ok_and(|partitions| partitions.is_none()) {
            if Instant::now() > deadline {
                return Err(Failure::unavailable(doing(), "the cluster does not know it yet"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn check(
        &self,
        admin: &Admin,
        name: &str,
        kind: TopicKind,
        partitions: u32,
        usage: Use,
    ) -> Result<(), BrokerError> {
        if usage == Use::Write && partitions < self.partitions_of(kind) {
            self.add_partitions(admin, name, partitions, self.partitions_of(kind)).await?;
        }
        // Who may only read or write uses what is there.
        let Some(topic) = self.describe(admin, name).await? else { return Ok(()) };
        let mut differing = Vec::new();
        for (field, wanted) in self.wanted(kind) {
            // Whoever may not see the settings is shown none.
            let entry = topic.get(field).and_then(|entry| entry.value.as_deref());
            let Some(value) = entry.filter(|value| *value != wanted) else { continue };
            if is_fixed(field) {
                let why = format!(
                    "its {field} is `{value}` and must be `{wanted}`; change it: kafka-configs.sh --alter \
                     --entity-type topics --entity-name {name} --add-config {field}={wanted}"
                );
                return Err(Failure::refused(format!("use topic {name}"), why));
            }
            differing.push((field, value.to_owned(), wanted));
        }
        if usage == Use::Write && !differing.is_empty() {
            self.alter(admin, name, &topic, &differing).await;
        }
        Ok(())
    }

    /// The settings of a topic; `None` where the user may not see them.
    async fn describe(
        &self,
        admin: &Admin,
        name: &str,
    ) -> Result<Option<ConfigResource>, BrokerError> {
        let resource = ResourceSpecifier::Topic(name);
        let described = match admin.describe_configs([&resource], &options()).await {
            Ok(mut results) => results.pop().unwrap_or(Err(Code::Unknown)),
            Err(error) => Err(code_of(&error)),
        };
        match described {
            Ok(topic) => Ok(Some(topic)),
            Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => Ok(None),
            Err(code) => {
                let doing = format!("look up the settings of topic {name}");
                Err(self.trouble.error(doing, Some(code)))
            }
        }
    }

    async fn add_partitions(
        &self,
        admin: &Admin,
        name: &str,
        partitions: u32,
        wanted: u32,
    ) -> Result<(), BrokerError> {
        let more = NewPartitions::new(name, usize::try_from(wanted).unwrap_or(usize::MAX));
        let answer = admin.create_partitions([&more], &options()).await;
        match first_code(answer, |results| results.into_iter().next()) {
            Ok(()) => {
                info!(topic = name, partitions = wanted, "partitions added");
                Ok(())
            }
            Err(code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                let why = format!(
                    "it has {partitions} partitions and must have {wanted}, and the user may not add them: \
                     kafka-topics.sh --alter --topic {name} --partitions {wanted} ({code:?})"
                );
                Err(Failure::refused(format!("use topic {name}"), why))
            }
            Err(code) => {
                Err(self.trouble.error(format!("add partitions to topic {name}"), Some(code)))
            }
        }
    }

    /// Changes what may differ; a topic with other values still works.
    async fn alter(
        &self,
        admin: &Admin,
        name: &str,
        topic: &ConfigResource,
        differing: &[(&'static str, String, String)],
    ) {
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(name));
        // Whatever is not named would go back to the default.
        for entry in &topic.entries {
            if let (ConfigSource::DynamicTopic, Some(value)) = (&entry.source, &entry.value) {
                altered.entries.insert(&entry.name, value);
            }
        }
        for (field, _, wanted) in differing {
            altered.entries.insert(field, wanted);
        }
        let answer = admin.alter_configs([&altered], &options()).await;
        let outcome = match answer {
            Ok(results) => results
                .into_iter()
                .next()
                .map_or(Ok(()), |result| result.map(drop).map_err(|(_, code)| code)),
            Err(error) => Err(code_of(&error)),
        };
        for (field, value, wanted) in differing {
            match &outcome {
                Ok(()) => info!(topic = name, field, value, wanted, "topic setting changed"),
                Err(code) => {
                    warn!(topic = name, field, value, wanted, %code, "topic setting differs");
                }
            }
        }
    }

    /// What a topic is created with, and must or should be.
    fn wanted(&self, kind: TopicKind) -> Vec<(&'static str, String)> {
        let mut wanted = vec![
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", (MESSAGE_BYTES_MAX + (64 << 10)).to_string()),
        ];
        match kind {
            TopicKind::Log => wanted.extend([
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", self.config.retention.as_millis().to_string()),
                ("retention.bytes", self.config.retention_bytes.as_u64().to_string()),
            ]),
            TopicKind::Board => wanted.extend([
                ("cleanup.policy", "compact".to_owned()),
                // Readers begin with the whole topic: what is outdated leaves it soon.
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("segment.bytes", (16 << 20).to_string()),
                ("segment.ms", "600000".to_owned()),
                ("max.compaction.lag.ms", "3600000".to_owned()),
            ]),
        }
        wanted
    }

    fn partitions_of(&self, kind: TopicKind) -> u32 {
        match kind {
            TopicKind::Log => self.config.partitions,
            TopicKind::Board => 1,
        }
    }
}

/// Whether a topic with another value would not work.
fn is_fixed(field: &str) -> bool {
    matches!(field, "message.timestamp.type" | "cleanup.policy")
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

fn first_code<R>(
    answer: Result<R, KafkaError>,
    first: impl FnOnce(R) -> Option<Result<String, (String, Code)>>,
) -> Result<(), Code> {
    match answer {
        Ok(results) => match first(results) {
            Some(Err((_, code))) => Err(code),
            _ => Ok(()),
        },
        Err(error) => Err(code_of(&error)),
    }
}

fn code_of(error: &KafkaError) -> Code {
    match error {
        KafkaError::AdminOp(code) => *code,
        other => other.rdkafka_error_code().unwrap_or(Code::Unknown),
    }
}
