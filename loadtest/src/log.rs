//! The real broker of a run, empty at its start, and the ways to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use broker_adapter::{Broker, Kafka, KafkaConfig, Nats, NatsConfig, Topic};
use clap::ValueEnum;
use schemas::Priority;
use tests::bus::Wire;
use tests::servers;
use tokio::time::{Instant, sleep};

use crate::raw::{self, Place, Raw};

/// All that a run publishes stays on the log, to be counted.
const KEPT: &str = "retention_bytes = \"2GiB\"";
/// Longest wait for a broker that runs.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// NATS JetStream
    Nats,
    /// Kafka
    Kafka,
}

/// Where the log lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// In the publisher's own store, as in `serve`
    Embedded,
    /// NATS JetStream
    Nats,
    /// Kafka
    Kafka,
}

/// A broker that runs, dead when dropped.
#[derive(Debug)]
pub(crate) enum Log {
    Nats(servers::nats::Nats),
    Kafka(servers::kafka::Kafka),
}

impl Kind {
    /// Starts one.
    pub(crate) async fn start(self) -> Log {
        match self {
            Self::Nats => Log::Nats(servers::nats::Nats::start().await),
            Self::Kafka => {
                let setup = servers::kafka::Setup::default().works_hard();
                Log::Kafka(servers::kafka::Kafka::start_with(setup).await)
            }
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }
}

impl Way {
    /// Starts the broker, where there is one.
    pub(crate) async fn start(self) -> Option<Log> {
        match self {
            Self::Embedded => None,
            Self::Nats => Some(Kind::Nats.start().await),
            Self::Kafka => Some(Kind::Kafka.start().await),
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Nats => Kind::Nats.name(),
            Self::Kafka => Kind::Kafka.name(),
        }
    }
}

impl Log {
    /// Our way to it, as any role of the product has it; its topics are there when this returns.
    pub(crate) async fn broker(&self, prefix: &str) -> anyhow::Result<Arc<dyn Broker>> {
        let broker = self.open(prefix.to_owned())?;
        let deadline = Instant::now() + PATIENCE;
        for priority in Priority::ALL {
            let topic = Topic::log(priority.as_str());
            // It connects in the background.
            while let Err(error) = broker.bounds(topic).await {
                ensure!(Instant::now() < deadline, "the broker does not answer: {error}");
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(broker)
    }

    fn open(&self, prefix: String) -> anyhow::Result<Arc<dyn Broker>> {
        Ok(match self {
            Self::Nats(nats) => {
                let urls = vec![nats.url()];
                Arc::new(Nats::open(&NatsConfig { urls, prefix, ..NatsConfig::default() })?)
            }
            Self::Kafka(kafka) => {
                let brokers = vec![kafka.address()];
                Arc::new(Kafka::open(&KafkaConfig { brokers, prefix, ..KafkaConfig::default() })?)
            }
        })
    }

    /// The same for processes, under names that begin like no others.
    pub(crate) fn wire(&self) -> Wire {
        let wire = match self {
            Self::Nats(nats) => Wire::nats([nats.url()]),
            Self::Kafka(kafka) => Wire::kafka([kafka.address()]),
        };
        wire.with(KEPT)
    }

    /// The broker's own client.
    pub(crate) async fn raw(&self) -> anyhow::Result<Raw> {
        Ok(match self {
            Self::Nats(nats) => Raw::Nats(raw::nats::Client::connect(&nats.url()).await?),
            Self::Kafka(kafka) => Raw::Kafka(raw::kafka::Client::new(kafka.address())?),
        })
    }

    /// Where the broker's own client finds the messages that ours put there.
    pub(crate) fn place(&self, prefix: &str, topic: Topic) -> Place {
        match self {
            Self::Nats(_) => Place {
                stream: format!("{prefix}-{topic}"),
                subject: format!("{prefix}.{topic}.0"),
            },
            Self::Kafka(_) => Place { stream: String::new(), subject: format!("{prefix}.{topic}") },
        }
    }
}
