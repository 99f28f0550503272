//! What the store's errors mean to a caller.

use std::sync::Arc;

use redb::Error;

use crate::{BoxError, BrokerError, Message, Topic, TopicKind};

/// A store's error in an operator's words; shared by all publishes of one commit.
#[derive(Debug, Clone, thiserror::Error)]
enum Failure {
    #[error("the disk of the embedded log failed")]
    Disk(#[source] Arc<Error>),
    #[error("the embedded log closed itself after an error of its disk; restart the process")]
    Closed(#[source] Arc<Error>),
    #[error("the file of the embedded log is damaged or of another version")]
    Damaged(#[source] Arc<Error>),
    #[error("the embedded log was used wrongly")]
    Misused(#[source] Arc<Error>),
}

/// Sorts an error by what the caller does next.
pub(super) fn broker_error(error: impl Into<Error>) -> BrokerError {
    shared_broker_error(Arc::new(error.into()))
}

/// The same for an error that several callers get.
pub(super) fn shared_broker_error(error: Arc<Error>) -> BrokerError {
    match *error {
        Error::Io(_) => BrokerError::Unavailable(Failure::Disk(error).into()),
        Error::PreviousIo | Error::DatabaseClosed => {
            BrokerError::Unavailable(Failure::Closed(error).into())
        }
        Error::Corrupted(_)
        | Error::UpgradeRequired(_)
        | Error::TypeDefinitionChanged { .. }
        | Error::TableTypeMismatch { .. } => BrokerError::Refused(Failure::Damaged(error).into()),
        _ => BrokerError::Refused(Failure::Misused(error).into()),
    }
}

/// A board's messages need keys.
pub(super) fn check_keys(topic: Topic, messages: &[Message]) -> Result<(), BrokerError> {
    if topic.kind() == TopicKind::Board && messages.iter().any(|message| message.key.is_none()) {
        let reason: BoxError = format!("a message without a key on the board {topic}").into();
        return Err(BrokerError::Refused(reason));
    }
    Ok(())
}

/// Runs work that blocks on the disk. A dropped call does not stop work that has begun.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, BrokerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(broker_error),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(BrokerError::Unavailable(error.into())),
        },
    }
}
