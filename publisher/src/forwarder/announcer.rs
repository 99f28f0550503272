//! Says on the board who speaks: before an incarnation's first frame, and again now and then, should the board be lost.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Topic};
use bytes::Bytes;
use daemon::{BoxError, Stop};
use schemas::PUBLISHERS_BOARD;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::trouble::Troubles;
use crate::error_chain;
use crate::journal::{Journal, JournalError};

/// Longest wait for the board.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
/// A board that did not take it is tried again so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A board that was deleted and made again knows of us within so long.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// The announcer of one publisher, for all its streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    journal: Journal,
    broker: Arc<dyn Broker>,
    troubles: Troubles,
    said: Mutex<Said>,
}

/// What was tried, and what the board took.
#[derive(Debug, Default)]
struct Said {
    tried: bool,
    latest: Option<(Bytes, Instant)>,
}

impl Said {
    fn has(&self, body: &Bytes) -> bool {
        self.latest.as_ref().is_some_and(|(said, _)| said == body)
    }

    fn is_fresh(&self) -> bool {
        self.latest.as_ref().is_some_and(|(_, at)| at.elapsed() < AGAIN_AFTER)
    }
}

impl Announcer {
    pub(crate) fn new(journal: Journal, broker: Arc<dyn Broker>, troubles: Troubles) -> Self {
        Self(Arc::new(Shared { journal, broker, troubles, said: Mutex::default() }))
    }

    /// Says it again now and then, once there was something to say, until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => Ok(()),
            error = self.tend() => Err(error.into()),
        }
    }

    /// Tries once to say who speaks, unless the board has it; answers whether the board has it.
    pub(super) async fn announce(&self) -> Result<bool, JournalError> {
        let mut said = self.0.said.lock().await;
        said.tried = true;
        let Some(body) = self.0.journal.announced().await? else { return Ok(true) };
        Ok(said.has(&body) || self.say(body, &mut said).await)
    }

    async fn tend(&self) -> JournalError {
        loop {
            sleep(LOOK_EVERY).await;
            if let Err(error) = self.remind().await {
                return error;
            }
        }
    }

    async fn remind(&self) -> Result<(), JournalError> {
        let mut said = self.0.said.lock().await;
        if said.tried
            && let Some(body) = self.0.journal.announced().await?
            && !(said.has(&body) && said.is_fresh())
        {
            self.say(body, &mut said).await;
        }
        Ok(())
    }

    async fn say(&self, body: Bytes, said: &mut Said) -> bool {
        let Shared { journal, broker, troubles, .. } = &*self.0;
        let key = Some(journal.publisher().to_string());
        let message = Message { key, id: None, body: body.clone() };
        let board = Topic::board(PUBLISHERS_BOARD);
        let published = broker.publish(board, Partition::default(), vec![message]);
        let trouble = match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some("the broker does not answer".to_owned()),
        };
        let taken = trouble.is_none();
        match &trouble {
            None => said.latest = Some((body, Instant::now())),
            Some(trouble) => warn!(trouble, "the publishers board did not take who speaks"),
        }
        troubles.board(trouble);
        taken
    }
}
