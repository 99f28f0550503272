//! What went wrong at NATS, in an operator's words.

use std::fmt;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;

use crate::BrokerError;

/// Something that the server or the network said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said(pub(super) String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// An error of this backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("not connected to NATS")]
    NotConnected(#[source] Said),
    #[error("the connection to NATS was lost before the answer")]
    ConnectionLost,
    #[error("NATS did not answer in time: {what}")]
    TimedOut {
        what: String,
        #[source]
        last: Option<Said>,
    },
    #[error("no permission at NATS: {0}")]
    Denied(String),
    #[error("JetStream is not enabled at this server, or not for this account")]
    NoJetStream(#[source] Said),
    #[error("no stream takes {subject}: it was deleted, or has no leader now")]
    NoStream { subject: String },
    #[error(
        "JetStream has no room: {what}; raise the server's or the account's storage limit, or lower retention_bytes"
    )]
    NoRoom {
        what: String,
        #[source]
        source: Said,
    },
    #[error("JetStream failed: {what}")]
    Api {
        what: String,
        #[source]
        source: Said,
    },
    #[error("JetStream refused: {what}")]
    Refused {
        what: String,
        #[source]
        source: Said,
    },
    #[error(
        "{subject} is taken by the stream {other}, not by {stream}; give one of them another subject"
    )]
    OtherStream { subject: String, other: String, stream: String },
    #[error("a message of {size} bytes is larger than the server takes (max_payload = {max})")]
    TooLarge { size: usize, max: usize },
    #[error("a message without a key on a board")]
    NoKey,
    #[error("the stream {stream} has {field} = {found}, but {wanted} is needed; {fix}")]
    Mismatch {
        stream: String,
        field: &'static str,
        found: String,
        wanted: String,
        fix: &'static str,
    },
    #[error(
        "there is no stream {stream}, and no permission to create it; allow publishing to {grant}, or create it with file storage and subjects [{subjects}]"
    )]
    MayNotCreate { stream: String, grant: String, subjects: String },
    #[error("the stream {stream} changes faster than a reader can begin")]
    Unsteady { stream: String },
    #[error("the consumer ends as soon as it begins: {0}")]
    Restless(String),
    #[error("{0}")]
    Misconfigured(String),
    #[error("{what}")]
    Unreadable {
        what: String,
        #[source]
        source: Said,
    },
    #[error("the NATS client failed")]
    Client(#[source] Said),
}

impl Failure {
    /// What an error of JetStream's own means while doing `what`.
    pub(super) fn of_jetstream(what: impl Into<String>, error: &jetstream::Error) -> Self {
        let (what, source) = (what.into(), Said(error.to_string()));
        match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Self::NoJetStream(source)
            }
            ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Self::NoRoom { what, source },
            // Others may leave.
            ErrorCode::MAXIMUM_CONSUMERS_LIMIT => Self::Api { what, source },
            _ if out_of_room(&source.0) => Self::NoRoom { what, source },
            ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => Self::Refused { what, source },
            _ if error.code() == 400 => Self::Refused { what, source },
            _ => Self::Api { what, source },
        }
    }

    /// Whether the server did not let us.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }
}

/// The store's own errors come as text.
fn out_of_room(said: &str) -> bool {
    [
        "no space left",
        "insufficient resources",
        "maximum bytes exceeded",
        "resource limits exceeded",
    ]
    .iter()
    .any(|words| said.contains(words))
}

impl From<Failure> for BrokerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { .. }
            | Failure::OtherStream { .. }
            | Failure::TooLarge { .. }
            | Failure::NoKey
            | Failure::Mismatch { .. }
            | Failure::MayNotCreate { .. }
            | Failure::Misconfigured(_)
            | Failure::Unreadable { .. } => Self::Refused(failure.into()),
            _ => Self::Unavailable(failure.into()),
        }
    }
}

/// An error of the connection, in words that name the setting to change where that is known.
pub(super) fn in_words(said: &str) -> String {
    let advice = [
        ("authorization violation", "the server does not take these credentials"),
        ("failed signing nonce", "the nkey or credentials file holds no usable seed"),
        ("InvalidContentType", "TLS is asked for, but the server does not speak it"),
        ("UnknownIssuer", UNTRUSTED),
        ("BadSignature", UNTRUSTED),
        ("NotValidForName", "the server's certificate is not for the host in the URL"),
        ("not valid for name", "the server's certificate is not for the host in the URL"),
        ("Expired", "the server's certificate has expired"),
        (
            "CertificateRequired",
            "the server wants a certificate of ours: set certificate_file and key_file in [broker.tls]",
        ),
        ("BadCertificate", "the server does not take our certificate"),
        ("UnknownCA", "the server does not trust the authority of our certificate"),
        ("expected INFO", "this is no NATS server"),
        ("invalid server operation", "this is no NATS server"),
        ("DNS error", "the host name in the URL is not known"),
    ];
    let found = advice.iter().find(|(words, _)| said.contains(words));
    found.map_or_else(|| said.to_owned(), |(_, advice)| format!("{advice} ({said})"))
}

const UNTRUSTED: &str = "the server speaks TLS, and its certificate is of an authority that we do not \
                         trust: set ca_file in [broker.tls]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_to_change_and_keep_what_was_said() {
        let said = in_words("IO error: invalid peer certificate: UnknownIssuer");
        assert!(said.contains("ca_file") && said.ends_with("UnknownIssuer)"), "{said}");
        assert_eq!(in_words("IO error: Connection refused"), "IO error: Connection refused");
    }
}
