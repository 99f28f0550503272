//! The bus before a folder of the reader's own: what changes on disk is purged in both regions.
//!
//! ```text
//! folder --looked through--> changes --> publisher --> log --> agents --> caches <-- browser
//!    +-- origin <------------------------------------------------------------+
//! ```

mod folder;
mod news;
mod purge;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use daemon::Stop;
use publisher::{PublisherHandle, Until};
use schemas::api::ProgressState;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

pub(crate) use self::folder::BadFolder;
use self::folder::Folder;
pub(crate) use self::news::News;
use self::news::Reached;
use self::purge::Purge;
use self::watch::Snapshot;
use super::REGIONS;
use super::bus::Bus;
use super::region::{Extra, Place};
use crate::exit::tell;

/// Shortest time between two looks: changes within it are purged together.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A look may take this part of the time: a large folder is looked through less often.
const PAUSE_PER_LOOK: u32 = 4;
/// Most purges that are not final; beyond it changes wait, and are purged together.
const PURGES_MAX: usize = 64;
/// Longest wait until a purge is final.
const FINAL_WITHIN: Duration = Duration::from_mins(1);

/// A folder with everything opened.
#[derive(Debug)]
pub(crate) struct SiteShow {
    bus: Bus,
    folder: Arc<Folder>,
    seen: Snapshot,
    places: Vec<Place>,
    by_prefix: bool,
}

impl SiteShow {
    /// Opens the folder, and the bus before it.
    pub(crate) async fn open(path: &Path, with: &[Extra]) -> anyhow::Result<Self> {
        let folder = Arc::new(Folder::open(path)?);
        let seen = Snapshot::take(folder.root())?;
        for unreadable in &seen.unreadable {
            tell(format_args!("cannot read {}: it is not served", unreadable.display()));
        }
        let mut bus = Bus::open(folder::router(folder.clone())).await?;
        let mut places = Vec::new();
        for region in REGIONS {
            places.extend(bus.add_region(region, 1, with).await?);
        }
        let by_prefix = !with.contains(&Extra::Redis);
        Ok(Self { bus, folder, seen, places, by_prefix })
    }

    /// Serves and purges until asked to stop, or for so long; true if every purge became final.
    pub(crate) async fn run(
        self,
        lasts: Option<Duration>,
        stop: Stop,
        news: News,
    ) -> anyhow::Result<bool> {
        let Self { bus, folder, seen, places, by_prefix } = self;
        let publisher = bus.publisher.clone();
        let mut watch =
            Watch { folder, seen, by_prefix, publisher, news, published: 0, finished: 0 };
        bus.run(&stop, async {
            let files = watch.seen.files();
            news.serving(watch.folder.root(), files, &places)
                .map_err(|error| anyhow!("{error}"))?;
            watch.run(lasts, &stop).await?;
            news.ended(watch.published, watch.finished).map_err(|error| anyhow!("{error}"))?;
            Ok(watch.finished == watch.published)
        })
        .await
    }
}

/// Looks and purges.
struct Watch {
    folder: Arc<Folder>,
    seen: Snapshot,
    by_prefix: bool,
    publisher: PublisherHandle,
    news: News,
    published: u64,
    finished: u64,
}

impl Watch {
    async fn run(&mut self, lasts: Option<Duration>, stop: &Stop) -> anyhow::Result<()> {
        let over = async {
            match lasts {
                Some(lasts) => sleep(lasts).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut purges = JoinSet::new();
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                () = &mut over => break,
                Some(ended) = purges.join_next(), if !purges.is_empty() => self.count(ended??),
                () = sleep_until(next_look), if purges.len() < PURGES_MAX => {
                    next_look = self.look(&mut purges).await?;
                }
            }
        }
        while let Some(ended) = purges.join_next().await {
            self.count(ended??);
        }
        Ok(())
    }

    fn count(&mut self, is_final: bool) {
        self.finished += u64::from(is_final);
    }

    /// Publishes what has changed since the last look; answers when to look again.
    async fn look(
        &mut self,
        purges: &mut JoinSet<anyhow::Result<bool>>,
    ) -> anyhow::Result<Instant> {
        let began = Instant::now();
        let folder = self.folder.clone();
        let now = tokio::task::spawn_blocking(move || Snapshot::take(folder.root())).await??;
        let changes = self.seen.changes(&now);
        let pause = LOOK_EVERY.max(PAUSE_PER_LOOK * began.elapsed());
        let purge = Purge::of(&changes, self.by_prefix);
        if !purge.is_empty() {
            let accepted = self.publisher.accept(&purge.request()).await?;
            self.published += 1;
            purges.spawn(follow(self.publisher.clone(), accepted.id, purge, self.news));
        }
        self.seen = now;
        Ok(Instant::now() + pause)
    }
}

/// Tells how far a purge comes; true once it is final.
async fn follow(
    publisher: PublisherHandle,
    id: uuid::Uuid,
    purge: Purge,
    news: News,
) -> anyhow::Result<bool> {
    for (until, reached) in [(Until::Applied, Reached::Applied), (Until::Final, Reached::Final)] {
        let progress = publisher.wait(id, until, FINAL_WITHIN).await?;
        let there = progress.as_ref().filter(|progress| match reached {
            Reached::Applied => {
                matches!(progress.state, ProgressState::Applied | ProgressState::Final)
            }
            Reached::Final => progress.state == ProgressState::Final,
        });
        let Some(there) = there else {
            News::missing(&purge, progress.as_ref());
            return Ok(false);
        };
        news.reached(reached, &purge, there).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(true)
}
