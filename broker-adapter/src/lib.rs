//! How messages travel: the [`Broker`] seam, its backends, and the suite that each of them passes.
//!
//! Carries opaque bytes; knows neither numbers nor caches. Adding a broker is one file here and one line below.

mod broker;
pub mod conformance;
mod embedded;
#[cfg(feature = "kafka")]
mod kafka;
mod misbehaving;
mod nats;
mod secret;
mod tls;

pub use broker::{
    Bounds, BoxError, Broker, BrokerError, Delivery, Message, Partition, PartitionBounds, Position,
    Positions, Start, Subscription, Topic, TopicKind,
};
pub use embedded::{Embedded, EmbeddedConfig, Removed};
#[cfg(feature = "kafka")]
pub use kafka::{Kafka, KafkaConfig, SaslConfig, SaslMechanism};
pub use misbehaving::{Misbehaving, Misbehaviour};
pub use nats::{Nats, NatsConfig};
pub use secret::Secret;
pub use tls::TlsConfig;
