//! What a lane sends out and waits for: questions and purges to its driver, cursors to its shelf.

use std::sync::Arc;
use std::time::Duration;

use daemon::BoxError;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use schemas::{Abilities, Cursor};
use tokio::time::{Instant, timeout};

use crate::driver::{Driver, PurgeError};
use crate::error_chain;
use crate::machine::{Failure, Job};
use crate::shelf::{Shelf, ShelfError};

/// Longest wait for one answer of a driver, which has shorter limits of its own.
const DRIVER_WITHIN: Duration = Duration::from_mins(1);

/// What comes back from outside.
pub(crate) enum Landed {
    Purged { id: u64, selectors: usize, took: Duration, result: Result<(), Failure> },
    Asked(Result<Abilities, Failure>),
    Stored(Cursor, Result<(), ShelfError>),
}

/// All errands under way.
pub(crate) type Flights = FuturesUnordered<BoxFuture<'static, Landed>>;

/// Asks a cache what it can do.
pub(crate) async fn ask(driver: Arc<dyn Driver>) -> Landed {
    let answer = timeout(DRIVER_WITHIN, driver.abilities()).await;
    Landed::Asked(answer.unwrap_or_else(|late| Err(unanswered(late.into()))).map_err(failure))
}

/// Purges a batch. A refusal counts only if the driver's own probe is not refused.
pub(crate) async fn purge(driver: Arc<dyn Driver>, job: Job) -> Landed {
    let begun = Instant::now();
    let attempt = async {
        match driver.purge(&job.batch).await {
            Err(PurgeError::Refused(refused)) => Err(match driver.probe().await {
                Ok(()) => PurgeError::Refused(refused),
                Err(PurgeError::Refused(probe)) => PurgeError::Unavailable {
                    after: None,
                    source: format!(
                        "the cache is misconfigured: it refuses the driver's own probe too: {}",
                        error_chain(probe.as_ref())
                    )
                    .into(),
                },
                Err(unavailable) => unavailable,
            }),
            result => result,
        }
    };
    let result = timeout(DRIVER_WITHIN, attempt).await;
    let result = result.unwrap_or_else(|late| Err(unanswered(late.into()))).map_err(failure);
    let selectors = job.batch.purges.len();
    Landed::Purged { id: job.id, selectors, took: begun.elapsed(), result }
}

fn unanswered(source: BoxError) -> PurgeError {
    PurgeError::Unavailable { after: None, source }
}

fn failure(error: PurgeError) -> Failure {
    match error {
        PurgeError::Unavailable { after, source } => {
            Failure::Unavailable { after, error: error_chain(source.as_ref()) }
        }
        PurgeError::Refused(source) => Failure::Refused { error: error_chain(source.as_ref()) },
    }
}

/// Stores a cursor.
pub(crate) async fn store(shelf: Shelf, cursor: Cursor) -> Landed {
    let storing = tokio::task::spawn_blocking(move || {
        let result = shelf.store(&cursor);
        Landed::Stored(cursor, result)
    });
    storing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
