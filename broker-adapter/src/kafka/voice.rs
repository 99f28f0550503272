//! What librdkafka says on its own: logs, errors, acknowledgements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::call::Call;
use super::trouble::Trouble;

/// Hears one client.
#[derive(Debug, Clone, Default)]
pub(super) struct Voice {
    trouble: Trouble,
    room: Arc<Notify>,
    commits_refused: Arc<AtomicBool>,
}

impl Voice {
    pub(super) fn new(trouble: Trouble) -> Self {
        Self { trouble, ..Self::default() }
    }

    /// Wakes one waiter after a message has left the queue.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// Whether positions may not be committed.
    pub(super) fn commits_refused(&self) -> bool {
        self.commits_refused.load(Ordering::Relaxed)
    }

    fn refuse_commits(&self, error: &KafkaError) {
        if !self.commits_refused.swap(true, Ordering::Relaxed) {
            warn!(%error, "positions cannot be committed; lag tools will not see this reader");
        }
    }
}

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // All that librdkafka says of a broker that hangs up, as one with another protocol does.
        if facility == "FAIL" && message.contains("Disconnected") {
            self.trouble.note_end(message);
        }
        match level {
            // What librdkafka calls an error is often a broker that restarts.
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => warn!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(facility, message, "librdkafka");
            }
            RDKafkaLogLevel::Debug => debug!(facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(Code::GroupAuthorizationFailed) => self.refuse_commits(&error),
            // About partitions: whoever reads them hears it too.
            Some(Code::PartitionEOF | Code::AutoOffsetReset | Code::LogTruncation) => {}
            _ => self.trouble.note(&error, reason),
        }
    }
}

impl ConsumerContext for Voice {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Err(error) if error.rdkafka_error_code() != Some(Code::NoOffset) => {
                debug!(%error, "positions not committed");
                if is_permission(error.rdkafka_error_code()) {
                    self.refuse_commits(&error);
                }
            }
            _ => {}
        }
    }
}

fn is_permission(code: Option<Code>) -> bool {
    matches!(code, Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed))
}

impl ProducerContext for Voice {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        let code = match result {
            Ok(_) => {
                self.trouble.over();
                None
            }
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
        };
        call.delivered(code);
        self.room.notify_one();
    }
}
