//! What went wrong, in words an operator can act on.
//!
//! librdkafka tells most causes (a refused password, an untrusted certificate, a closed port) beside the operation that
//! suffers from them, which itself only times out. So the last of them is kept and put into the error of the operation.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::BrokerError;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub(super) struct Failure {
    doing: String,
    why: String,
}

impl Failure {
    /// To be repeated.
    pub(super) fn unavailable(doing: impl fmt::Display, why: impl fmt::Display) -> BrokerError {
        BrokerError::Unavailable(Box::new(Self::new(doing, why)))
    }

    /// Not to be repeated.
    pub(super) fn refused(doing: impl fmt::Display, why: impl fmt::Display) -> BrokerError {
        BrokerError::Refused(Box::new(Self::new(doing, why)))
    }

    fn new(doing: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { doing: doing.to_string(), why: why.to_string() }
    }
}

/// The last trouble with the connection; forgotten when something works.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// Keeps what librdkafka says about its connections; that no broker is left says less than what came before it.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(Code::AllBrokersDown) {
            *self.0.lock() = Some(connection(code, reason));
        }
    }

    /// Keeps why a connection has ended.
    pub(super) fn note_end(&self, reason: &str) {
        let greeting = reason.contains("APIVERSION_QUERY") || reason.contains("ApiVersion");
        let hint =
            if greeting { "hung up before its first answer; perhaps it wants TLS: " } else { "" };
        *self.0.lock() = Some(connection(None, &format!("{hint}{reason}")));
    }

    /// The broker has answered.
    pub(super) fn over(&self) {
        let mut last = self.0.lock();
        if last.is_some() {
            *last = None;
        }
    }

    /// Why `doing` failed with `code`; decides whether to repeat it.
    pub(super) fn error(&self, doing: impl fmt::Display, code: Option<Code>) -> BrokerError {
        match code {
            Some(code) if says_nothing(code) => {
                let last = self.0.lock().clone();
                Failure::unavailable(
                    doing,
                    last.unwrap_or_else(|| "the broker does not answer in time".into()),
                )
            }
            Some(code) if is_final(code) => Failure::refused(doing, words(code)),
            Some(code) => Failure::unavailable(doing, words(code)),
            None => Failure::unavailable(doing, "librdkafka does not say why"),
        }
    }
}

/// Time ran out, or no broker is there.
const UNANSWERED: [Code; 6] = [
    Code::MessageTimedOut,
    Code::OperationTimedOut,
    Code::TimedOutQueue,
    Code::RequestTimedOut,
    Code::AllBrokersDown,
    Code::BrokerTransportFailure,
];

/// Codes behind which the cause must be looked for.
fn says_nothing(code: Code) -> bool {
    UNANSWERED.contains(&code)
        || matches!(
            code,
            Code::Resolve
                | Code::SSL
                | Code::Authentication
                | Code::Fatal
                | Code::PurgeQueue
                | Code::PurgeInflight
        )
}

/// Whether it means that nobody has answered.
pub(super) fn is_silence(code: Option<Code>) -> bool {
    code.is_some_and(|code| {
        UNANSWERED.contains(&code)
            || matches!(code, Code::DestroyBroker | Code::WaitingForCoordinator)
    })
}

/// Repeating the same would end the same.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidRecord
            | Code::InvalidTopic
            | Code::PolicyViolation
            | Code::InvalidReplicationFactor
            | Code::InvalidConfig
    )
}

fn connection(code: Option<Code>, reason: &str) -> String {
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            format!("the broker does not accept user, password or mechanism: {reason}")
        }
        Some(Code::SSL) => format!("no TLS with the broker: {reason}"),
        // A broker that does not like our certificate, or wants one, says so after the handshake.
        _ if reason.contains("SSL routines") => format!("no TLS with the broker: {reason}"),
        Some(Code::Resolve) => format!("no such host: {reason}"),
        Some(Code::ClusterAuthorizationFailed) => {
            format!("the user may not write to any topic (missing access rule): {reason}")
        }
        _ => format!("no connection: {reason}"),
    }
}

fn words(code: Code) -> String {
    let words = match code {
        Code::TopicAuthorizationFailed => {
            "the user may not do that with this topic, or not even see it (missing access rule)"
        }
        Code::ClusterAuthorizationFailed => {
            "the user may not do that in this cluster (missing access rule)"
        }
        Code::GroupAuthorizationFailed => {
            "the user may not use this consumer group (missing access rule)"
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "fewer copies of the partition are in step than min.insync.replicas of the topic asks for"
        }
        Code::KafkaStorageError => "the broker cannot use its disk",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "a message is larger than max.message.bytes of the topic"
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "there is no such topic or partition"
        }
        Code::LeaderNotAvailable | Code::NotLeaderForPartition => {
            "no broker leads the partition at the moment"
        }
        Code::InvalidReplicationFactor => "the cluster has fewer brokers than `replicas`",
        Code::SaslAuthenticationFailed => "the broker does not accept user, password or mechanism",
        other => return other.to_string(),
    };
    format!("{words} ({code:?})")
}
