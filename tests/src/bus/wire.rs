//! The broker as a configuration names it.

use std::sync::Arc;

use broker_adapter::{Broker, Kafka, KafkaConfig, Nats, NatsConfig};

/// A broker, and a corner of it that no other test has.
#[derive(Debug, Clone)]
pub struct Wire {
    kind: Kind,
    servers: Vec<String>,
    prefix: String,
    more: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nats,
    Kafka,
}

impl Wire {
    /// NATS at these `nats://host:port`.
    pub fn nats(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Kind::Nats, urls)
    }

    /// Kafka at these `host:port`.
    pub fn kafka(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Kind::Kafka, brokers)
    }

    fn new(kind: Kind, servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let servers = servers.into_iter().map(Into::into).collect();
        let prefix = format!("bus-{:08x}", fastrand::u32(..));
        Self { kind, servers, prefix, more: String::new() }
    }

    /// With further keys of `[broker]`, such as `replicas = 3`, or tables below it, such as `[broker.tls]`.
    #[must_use]
    pub fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self.more.push('\n');
        self
    }

    /// What the names of its streams or topics begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the broker calls `critical`, `normal`, `reports` or `publishers`: a stream, or a topic.
    pub fn stream(&self, topic: &str) -> String {
        match self.kind {
            Kind::Nats => format!("{}-{topic}", self.prefix),
            Kind::Kafka => format!("{}.{topic}", self.prefix),
        }
    }

    /// The broker, for whoever may do everything there without an account.
    ///
    /// # Panics
    /// When it cannot be used as it is named.
    pub fn broker(&self) -> Arc<dyn Broker> {
        let (servers, prefix) = (self.servers.clone(), self.prefix.clone());
        match self.kind {
            Kind::Nats => {
                let config = NatsConfig { urls: servers, prefix, ..NatsConfig::default() };
                Arc::new(Nats::open(&config).expect("a good configuration"))
            }
            Kind::Kafka => {
                let config = KafkaConfig { brokers: servers, prefix, ..KafkaConfig::default() };
                Arc::new(Kafka::open(&config).expect("a good configuration"))
            }
        }
    }

    /// `[broker]`.
    pub(crate) fn table(&self) -> String {
        let Self { kind, servers, prefix, more } = self;
        let (kind, key) = match kind {
            Kind::Nats => ("nats", "urls"),
            Kind::Kafka => ("kafka", "brokers"),
        };
        // A server of NATS sets aside all that a stream may hold, and there are many on one disk here.
        let modest =
            if more.contains("retention_bytes") { "" } else { "retention_bytes = \"64MiB\"\n" };
        format!(
            "[broker]\nkind = \"{kind}\"\n{key} = {servers:?}\nprefix = \"{prefix}\"\n{modest}{more}"
        )
    }
}
