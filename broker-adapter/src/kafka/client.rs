//! How librdkafka is set up.
//!
//! What matters for the latency of an idle topic, and what for its throughput under load:
//!
//! | setting | why |
//! |---|---|
//! | `linger.ms = 0` | nothing waits for company; under load, batches form behind the five requests in flight |
//! | `fetch.min.bytes = 1` | a waiting fetch is answered by the first record, so that `fetch.wait.max.ms` is no latency |
//! | `fetch.queue.backoff.ms = 2` | when the reader's queue was full, fetching goes on at once (default: a second later) |
//! | `fetch.error.backoff.ms`, `reconnect.backoff.*` | small, so that a broker that is back is read within half a second |
//! | `socket.nagle.disable` (the default) | small requests leave at once |
//! | `queued.*`, `queue.buffering.*` | bound the memory on both sides |
//! | `message.timeout.ms`, `retries` | a message that is not taken is told within seconds, with the broker's own reason |
//! | `allow.auto.create.topics = false` | a producer's question for a topic would create it, with the wrong settings |

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::config::{KafkaConfig, SaslMechanism};
use super::trouble::Failure;
use crate::{BrokerError, Secret};

/// The largest message: one large invalidation, or the report of an agent with many caches.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Room for the protocol around the largest message.
const FRAMING_BYTES: usize = 64 << 10;

/// Settings of all clients of one log.
#[derive(Clone)]
pub(super) struct Settings {
    common: ClientConfig,
    group: String,
}

impl Settings {
    /// Checks what can be checked without a broker.
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, BrokerError> {
        let mut common = ClientConfig::new();
        let request_bytes = (MESSAGE_BYTES_MAX + FRAMING_BYTES).to_string();
        set(
            &mut common,
            &[
                ("bootstrap.servers", &config.brokers.join(",")),
                ("client.id", &config.prefix),
                ("message.max.bytes", &request_bytes),
                ("allow.auto.create.topics", "false"),
                ("topic.metadata.refresh.interval.ms", "10000"),
                ("socket.keepalive.enable", "true"),
                ("socket.timeout.ms", "10000"),
                ("socket.connection.setup.timeout.ms", "5000"),
                ("reconnect.backoff.ms", "50"),
                ("reconnect.backoff.max.ms", "500"),
                ("enable.metrics.push", "false"),
            ],
        );
        common.set_log_level(RDKafkaLogLevel::Info);
        secure(&mut common, config)?;
        let group = config.group.clone().unwrap_or_else(|| {
            format!("{}-{}", config.prefix, gethostname::gethostname().to_string_lossy())
        });
        Ok(Self { common, group })
    }

    /// Of a client that only administers.
    pub(super) fn administer(&self) -> ClientConfig {
        self.common.clone()
    }

    /// Of the producer.
    pub(super) fn write(&self) -> ClientConfig {
        let mut config = self.common.clone();
        set(
            &mut config,
            &[
                ("enable.idempotence", "true"),
                ("acks", "all"),
                ("linger.ms", "0"),
                ("batch.size", "524288"),
                ("compression.codec", "lz4"),
                ("queue.buffering.max.messages", "50000"),
                ("queue.buffering.max.kbytes", "32768"),
                ("message.timeout.ms", "4000"),
                ("request.timeout.ms", "4000"),
                ("retries", "8"),
                ("retry.backoff.ms", "50"),
                ("retry.backoff.max.ms", "400"),
                ("topic.metadata.propagation.max.ms", "2000"),
            ],
        );
        config
    }

    /// Of a reader; of a board it also tells where the end is reached.
    pub(super) fn read(&self, tell_ends: bool) -> ClientConfig {
        let mut config = self.common.clone();
        set(
            &mut config,
            &[
                ("group.id", &self.group),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("isolation.level", "read_uncommitted"),
                ("enable.partition.eof", if tell_ends { "true" } else { "false" }),
                ("check.crcs", "true"),
                ("fetch.min.bytes", "1"),
                ("fetch.wait.max.ms", "500"),
                ("fetch.error.backoff.ms", "50"),
                ("fetch.queue.backoff.ms", "2"),
                ("fetch.message.max.bytes", "1048576"),
                ("fetch.max.bytes", "8388608"),
                ("queued.min.messages", "4000"),
                ("queued.max.messages.kbytes", "8192"),
            ],
        );
        config
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest holds a password.
        f.debug_struct("Settings").field("group", &self.group).finish_non_exhaustive()
    }
}

fn set(config: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        config.set(*name, *value);
    }
}

fn secure(common: &mut ClientConfig, config: &KafkaConfig) -> Result<(), BrokerError> {
    let protocol = match (&config.sasl, &config.tls) {
        (None, None) => "plaintext",
        (Some(_), None) => "sasl_plaintext",
        (None, Some(_)) => "ssl",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    common.set("security.protocol", protocol);
    if let Some(sasl) = &config.sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        let password = match (&sasl.password, &sasl.password_file) {
            (Some(password), None) => password.clone(),
            (None, Some(file)) => Secret::read(file).map_err(|error| {
                Failure::refused(format!("read `sasl.password_file` {}", file.display()), error)
            })?,
            _ => {
                let why = "exactly one of `password` and `password_file` is needed";
                return Err(Failure::refused("use `sasl`", why));
            }
        };
        set(
            common,
            &[
                ("sasl.mechanism", mechanism),
                ("sasl.username", &sasl.user),
                ("sasl.password", password.reveal()),
            ],
        );
    }
    if let Some(tls) = &config.tls {
        let files = [
            ("ca_file", "ssl.ca.location", &tls.ca_file),
            ("certificate_file", "ssl.certificate.location", &tls.certificate_file),
            ("key_file", "ssl.key.location", &tls.key_file),
        ];
        for (field, name, file) in files {
            if let Some(file) = file {
                // librdkafka would not say which one it cannot read.
                std::fs::File::open(file).map_err(|error| {
                    Failure::refused(format!("read `tls.{field}` {}", file.display()), error)
                })?;
                common.set(name, file.display().to_string());
            }
        }
    }
    Ok(())
}
