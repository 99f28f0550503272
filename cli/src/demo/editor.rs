//! The demo's editor: changes pages, and tells the bus by url, tag and prefix. One edge is told by hand, once.
//!
//! Now and then it looks at what it has saved, and saves again: the look is then a fetch that meets the next purge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::oracle::Version;
use agent::driver::{Batch, Driver, Purge};
use daemon::{BoxError, Stop};
use publisher::{PublisherHandle, Until};
use schemas::api::{InvalidationRequest, ProgressState, UrlRequest};
use schemas::{Mode, QueryMatch, Selector};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tracing::debug;
use uuid::Uuid;

use super::readers::Readers;
use super::stage::{HOST, PAGES, SECTIONS, SITE, Stage, path};

/// Time between two changes.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// One change in so many is looked at, and made again soon.
const AGAIN_ONE_IN: u8 = 4;
/// Shortest and longest time from the look to the second change.
const AGAIN_AFTER_MS: std::ops::Range<u64> = 5..100;
/// Longest wait until a change is final, once it is published.
const FINAL_WITHIN: Duration = Duration::from_mins(1);

/// What the editor has done.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Pages changed.
    published: AtomicU64,
    /// Of them applied and past the last pass everywhere.
    finished: AtomicU64,
}

impl Changes {
    /// How many pages were changed and published, and how many of these are final everywhere.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.published.load(Ordering::Relaxed), self.finished.load(Ordering::Relaxed))
    }
}

/// The editor.
#[derive(Debug, Clone)]
pub(crate) struct Editor {
    pub(crate) stage: Arc<Stage>,
    pub(crate) publisher: PublisherHandle,
    pub(crate) naive: Arc<dyn Driver>,
    pub(crate) readers: Readers,
    pub(crate) changes: Arc<Changes>,
    /// Whether a Redis is among the caches: it finds pages by url and by tag, not by prefix.
    pub(crate) with_redis: bool,
}

impl Editor {
    /// Changes pages until stopped, then waits until every change is final.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let mut changes = JoinSet::new();
        let mut ticks = interval(CHANGE_EVERY);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(change) = changes.join_next(), if !changes.is_empty() => change??,
                _ = ticks.tick() => {
                    let editor = self.clone();
                    changes.spawn(async move { editor.edit(fastrand::usize(..PAGES)).await });
                }
            }
        }
        while let Some(change) = changes.join_next().await {
            change??;
        }
        Ok(())
    }

    async fn edit(&self, page: usize) -> Result<(), BoxError> {
        let first = self.save(page).await?;
        if fastrand::u8(..AGAIN_ONE_IN) > 0 {
            return self.finish(page, first).await;
        }
        let again = async {
            sleep(Duration::from_millis(fastrand::u64(AGAIN_AFTER_MS))).await;
            let second = self.save(page).await?;
            self.finish(page, second).await
        };
        tokio::try_join!(self.finish(page, first), self.readers.look(page), again)?;
        Ok(())
    }

    /// Changes a page and tells the bus, and one edge by hand.
    async fn save(&self, page: usize) -> Result<(Uuid, Version), BoxError> {
        let version = self.stage.commit(page);
        let (batch, request) = (naive_batch(page)?, request(page, self.with_redis));
        let (by_hand, accepted) =
            tokio::join!(self.naive.purge(&batch), self.publisher.accept(&request));
        if let Err(error) = by_hand {
            debug!(
                error = &error as &dyn std::error::Error,
                "the purge by hand failed, as they do"
            );
        }
        let accepted = accepted?;
        self.changes.published.fetch_add(1, Ordering::Relaxed);
        Ok((accepted.id, version))
    }

    async fn finish(&self, page: usize, (id, version): (Uuid, Version)) -> Result<(), BoxError> {
        let progress = self.publisher.wait(id, Until::Final, FINAL_WITHIN).await?;
        if progress.is_some_and(|progress| progress.state == ProgressState::Final) {
            self.stage.finished(page, version);
            self.changes.finished.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Mostly the page's own url; now and then its tag, or the section that it lies in, by prefix or by tag.
fn request(page: usize, with_redis: bool) -> InvalidationRequest {
    let mut request = InvalidationRequest { site: Some(SITE.to_owned()), ..Default::default() };
    match fastrand::u8(..10) {
        0 if with_redis => request.tags = vec![format!("section-{}", page % SECTIONS)],
        0 => request.prefixes = vec![format!("https://{HOST}/section-{}", page % SECTIONS)],
        1 | 2 => request.tags = vec![format!("page-{page}")],
        _ => request.urls = vec![UrlRequest::Exact(format!("https://{HOST}{}", path(page)))],
    }
    request
}

fn naive_batch(page: usize) -> Result<Batch, BoxError> {
    let selector = Selector::Url {
        scheme: schemas::Scheme::Https,
        host: HOST.parse()?,
        path: path(page).parse()?,
        query: QueryMatch::Exact(None),
    };
    Ok(Batch { purges: vec![Purge::new(SITE.parse()?, selector, Mode::Hard)] })
}
