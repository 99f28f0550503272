//! What a lane sends out and waits for: questions and purges to its driver, cursors to its shelf.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::BoxError;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use schemas::{Abilities, Cursor, legible, wire};
use tokio::time::{Instant, timeout};

use crate::driver::{Driver, Fetches, PurgeError, Session, Shelved};
use crate::error_chain;
use crate::letter_folder::LetterFolder;
use crate::letters::LetterChanges;
use crate::machine::{Failure, Job};
use crate::shelf::{Shelf, ShelfError};

/// Longest wait for one answer of a driver, which has shorter limits of its own.
const DRIVER_WITHIN: Duration = Duration::from_mins(1);

/// What comes back from outside.
pub(crate) enum Landed {
    Purged { id: u64, selectors: usize, took: Duration, result: Result<Fetches, Failure> },
    Asked(Result<Abilities, Failure>),
    Stored(Box<Cursor>, LetterChanges, Result<(), ShelfError>),
    Recalled(Result<Shelved, Failure>),
    Looked(Result<(), Failure>),
    OthersTold(Result<Vec<Bytes>, Failure>),
}

/// Where a cursor is stored inside the cache.
pub(crate) struct Inward {
    pub(crate) driver: Arc<dyn Driver>,
    /// The connection on which all that it tells was done.
    pub(crate) session: Session,
    /// Which server that leads to.
    pub(crate) server: Option<String>,
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
                        error_chain(&probe)
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
            Failure::Unavailable { after, error: said(&source) }
        }
        PurgeError::Refused(refused) => {
            let (why, exchange) = refused.into_parts();
            Failure::Refused { error: said(&why), exchange }
        }
    }
}

/// In words that may hold some of the cache's own.
fn said(error: &BoxError) -> String {
    legible(&error_chain(error.as_ref()))
}

/// Where a lane keeps what it remembers.
pub(crate) struct Keeping {
    pub(crate) shelf: Shelf,
    pub(crate) inward: Option<Inward>,
    pub(crate) folder: LetterFolder,
}

/// Stores a cursor; one that lies inside the cache there first, and then its copy. Dead letters are written before it,
/// and removed after it.
pub(crate) async fn store(keeping: Keeping, cursor: Cursor, changes: LetterChanges) -> Landed {
    let result = store_all(keeping, cursor.clone(), changes.clone()).await;
    Landed::Stored(Box::new(cursor), changes, result)
}

async fn store_all(
    Keeping { shelf, inward, folder }: Keeping,
    cursor: Cursor,
    changes: LetterChanges,
) -> Result<(), ShelfError> {
    let (writing, written) = (folder.clone(), changes.clone());
    blocking(move || writing.write(&written)).await?;
    let server = match inward {
        Some(inward) => {
            store_inside(&inward, &cursor).await.map_err(ShelfError::Inside)?;
            inward.server
        }
        None => None,
    };
    blocking(move || {
        shelf.store(&cursor)?;
        server.map_or(Ok(()), |server| shelf.note_server(&server))?;
        folder.remove(&changes)
    })
    .await
}

async fn store_inside(inward: &Inward, cursor: &Cursor) -> Result<(), PurgeError> {
    let Some(shelf) = inward.driver.shelf() else { return Ok(()) };
    let writing = shelf.write(inward.session, wire::encode_cursor(cursor));
    timeout(DRIVER_WITHIN, writing).await.unwrap_or_else(|late| Err(unanswered(late.into())))
}

/// Reads the cursors of others inside a cache.
pub(crate) async fn ask_others(driver: Arc<dyn Driver>) -> Landed {
    let others = async {
        let shelf = driver.shelf().ok_or_else(|| unanswered("it keeps no cursor".into()))?;
        shelf.others().await
    };
    let others = timeout(DRIVER_WITHIN, others).await;
    Landed::OthersTold(others.unwrap_or_else(|late| Err(unanswered(late.into()))).map_err(failure))
}

/// Reads the cursor inside a cache whose server was `known` last; the copy in the state folder is of no other.
pub(crate) async fn recall(driver: Arc<dyn Driver>, copy: Shelf, known: Option<String>) -> Landed {
    let recall = async {
        let shelf = driver.shelf().ok_or_else(|| unanswered("it keeps no cursor".into()))?;
        let shelved = shelf.read().await?;
        if shelved.server.is_none() || shelved.server != known {
            let forgotten = blocking(move || copy.forget_server()).await;
            forgotten.map_err(|error| unanswered(error.into()))?;
        }
        Ok(shelved)
    };
    let recalled = timeout(DRIVER_WITHIN, recall).await;
    Landed::Recalled(recalled.unwrap_or_else(|late| Err(unanswered(late.into()))).map_err(failure))
}

/// Looks whether `session` leads to where it did.
pub(crate) async fn look(driver: Arc<dyn Driver>, session: Session) -> Landed {
    let look = async {
        match driver.shelf() {
            Some(shelf) => shelf.look(session).await,
            None => Ok(()),
        }
    };
    let looked = timeout(DRIVER_WITHIN, look).await;
    Landed::Looked(looked.unwrap_or_else(|late| Err(unanswered(late.into()))).map_err(failure))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
