//! `[broker]`: what carries the messages. Beside `kind` stand the keys of that kind.

mod files;
#[cfg(feature = "kafka")]
mod kafka;
mod limits;
mod nats;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "kafka")]
use broker_adapter::KafkaConfig;
use broker_adapter::{EmbeddedConfig, NatsConfig};
use bytesize::ByteSize;
use serde::Deserialize;
use toml::de::DeTable;

use super::explain::known_instead;
use super::keys::keys_of;
use super::mistake::Field;
use super::reader::Reader;
use super::role::Role;

/// `[broker]`.
#[derive(Debug, Clone)]
pub(crate) enum BrokerConfig {
    /// In this process.
    Embedded(EmbeddedLog),
    /// NATS JetStream.
    Nats(Box<NatsConfig>),
    /// Kafka.
    #[cfg(feature = "kafka")]
    Kafka(Box<KafkaConfig>),
}

/// `[broker]` with `kind = "embedded"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EmbeddedLog {
    /// The folder of the log, which shares one database with the journal; so it is the folder of both.
    pub(crate) dir: Option<PathBuf>,
    /// Invalidations older than this leave the log.
    #[serde(with = "humantime_serde")]
    pub(crate) retention: Duration,
    /// Beyond this many bytes the oldest leave the log.
    pub(crate) retention_bytes: ByteSize,
}

/// The part of every `[broker]` that says how to read the rest.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Head {
    /// Which broker.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Embedded,
    Nats,
    Kafka,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Embedded, Self::Nats, Self::Kafka];

    fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }

    /// Its keys, as far as this build knows them.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Embedded => keys_of::<EmbeddedLog>(),
            Self::Nats => keys_of::<NatsConfig>(),
            #[cfg(feature = "kafka")]
            Self::Kafka => keys_of::<KafkaConfig>(),
            #[cfg(not(feature = "kafka"))]
            Self::Kafka => &[],
        }
    }
}

impl Default for EmbeddedLog {
    fn default() -> Self {
        let EmbeddedConfig { retention, retention_bytes } = EmbeddedConfig::default();
        Self { dir: None, retention, retention_bytes: ByteSize(retention_bytes) }
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::Embedded(EmbeddedLog::default())
    }
}

impl BrokerConfig {
    /// Its `kind`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => Kind::Embedded.as_str(),
            Self::Nats(_) => Kind::Nats.as_str(),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => Kind::Kafka.as_str(),
        }
    }

    /// How long it keeps a message.
    pub(crate) fn retention(&self) -> Duration {
        match self {
            Self::Embedded(log) => log.retention,
            Self::Nats(nats) => nats.retention,
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.retention,
        }
    }

    /// Partitions of each log.
    pub(crate) fn partitions(&self) -> u32 {
        match self {
            Self::Embedded(_) => 1,
            Self::Nats(nats) => nats.partitions,
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.partitions,
        }
    }

    /// Where it is, for people.
    pub(crate) fn servers(&self) -> String {
        match self {
            Self::Embedded(_) => "in this process".to_owned(),
            Self::Nats(nats) => nats.urls.join(", "),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.brokers.join(", "),
        }
    }

    /// The folder of the log, where it has one of its own choice.
    pub(crate) fn dir(&self) -> Option<&PathBuf> {
        if let Self::Embedded(log) = self { log.dir.as_ref() } else { None }
    }
}

/// Reads `[broker]` as far as it can be read, and notes what is wrong with it for `role`.
pub(super) fn read<'i>(reader: &mut Reader<'_, 'i>, role: Role) -> Option<BrokerConfig> {
    let field = Field::top("broker");
    let (table, span) = reader.table("broker");
    let (head, mut own): (DeTable<'i>, DeTable<'i>) =
        table.into_iter().partition(|(key, _)| key.get_ref() == "kind");
    let Head { kind } = reader.read::<Head>(&field, &head, &span, &[])?;
    let kind_field = field.key("kind");
    if reader.is_mistaken(&kind_field) {
        return None;
    }
    if kind == Kind::Embedded && role != Role::Serve {
        let problem = format!(
            "the embedded log lives within one process, and nobody else could hear this {role}; \
             write kind = \"nats\"{}, or run `purgebus serve`",
            if cfg!(feature = "kafka") { " or kind = \"kafka\"" } else { "" }
        );
        reader.object(&kind_field, problem);
    }
    take_out_keys_of_others(reader, &field, &mut own, kind);
    match kind {
        Kind::Embedded => reader.read(&field, &own, &span, &["kind"]).map(BrokerConfig::Embedded),
        Kind::Nats => {
            nats::read(reader, &field, &own, &span).map(|nats| BrokerConfig::Nats(nats.into()))
        }
        Kind::Kafka => read_kafka(reader, &field, &own, &span),
    }
}

#[cfg(feature = "kafka")]
fn read_kafka<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    own: &DeTable<'i>,
    span: &Range<usize>,
) -> Option<BrokerConfig> {
    kafka::read(reader, field, own, span).map(|kafka| BrokerConfig::Kafka(kafka.into()))
}

/// Its keys mean nothing here, so they are no mistakes of their own.
#[cfg(not(feature = "kafka"))]
fn read_kafka<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    _: &DeTable<'i>,
    _: &Range<usize>,
) -> Option<BrokerConfig> {
    let problem = "this purgebus was built without Kafka; take one that was built with its feature \
                   \"kafka\", as by default, or use \"nats\"";
    reader.object(&field.key("kind"), problem);
    None
}

/// A key that another kind has is told as such, which helps more than "unknown".
fn take_out_keys_of_others<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    own: &mut DeTable<'i>,
    kind: Kind,
) {
    let known = kind.keys();
    if known.is_empty() {
        return;
    }
    let written: Vec<String> = own.keys().map(|key| key.get_ref().to_string()).collect();
    for key in written.iter().map(String::as_str).filter(|key| !known.contains(key)) {
        let Some(other) = Kind::ALL.into_iter().find(|other| other.keys().contains(&key)) else {
            continue;
        };
        let instead = known_instead(key, known);
        let problem = format!(
            "is a key of kind = \"{}\", and kind is \"{}\" here; {instead}",
            other.as_str(),
            kind.as_str()
        );
        reader.object(&field.key(key), problem);
        own.remove(key);
    }
}
