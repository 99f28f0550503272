//! The demo's readers: they ask every cache for random pages at a steady rate, and tell the oracle what they got.

use std::sync::Arc;
use std::time::Duration;

use crate::oracle::Version;
use daemon::{BoxError, Stop};
use futures::future::try_join_all;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::origin::VERSION;
use super::region::Place;
use super::stage::{HOST, PAGES, Stage, path};

/// Time between two reads, whether or not the last one was answered.
const READ_EVERY: Duration = Duration::from_millis(4);
/// Most reads under way; beyond it a read is left out, so that a slow machine is not flooded.
const UNDER_WAY_MAX: usize = 256;
/// Longest time for one read.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The readers of all caches.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    stage: Arc<Stage>,
    places: Vec<Place>,
    client: Client,
}

impl Readers {
    /// Readers of these caches.
    pub(crate) fn new(stage: Arc<Stage>, places: Vec<Place>) -> reqwest::Result<Self> {
        // Nothing here speaks TLS: the system's authorities need not be read, nor be there.
        let client = Client::builder().tls_certs_only([]).timeout(READ_WITHIN);
        let client = client.no_proxy().build()?;
        Ok(Self { stage, places, client })
    }

    /// Reads until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let mut reads = JoinSet::new();
        let mut ticks = interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(read) = reads.join_next(), if !reads.is_empty() => read??,
                _ = ticks.tick() => if reads.len() < UNDER_WAY_MAX {
                    let reader = self.clone();
                    let place = fastrand::usize(..self.places.len());
                    let page = fastrand::usize(..PAGES);
                    reads.spawn(async move { reader.judge(place, page).await });
                },
            }
        }
        while let Some(read) = reads.join_next().await {
            read??;
        }
        Ok(())
    }

    /// Reads one page at every cache.
    pub(crate) async fn look(&self, page: usize) -> Result<(), BoxError> {
        try_join_all((0..self.places.len()).map(|place| self.judge(place, page))).await?;
        Ok(())
    }

    async fn judge(&self, place: usize, page: usize) -> Result<(), BoxError> {
        let place = &self.places[place];
        let began = self.stage.now();
        match self.read(place, page).await {
            Ok(version) => drop(self.stage.read(&place.name(), page, version, began)),
            // A slow machine makes fewer reads, not a broken demo.
            Err(error) if timed_out(error.as_ref()) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The version of `page` that `place` serves now.
    async fn read(&self, place: &Place, page: usize) -> Result<Version, BoxError> {
        let url = format!("http://{}{}", place.address, path(page));
        let response = self.client.get(url).header("host", HOST).send().await?;
        let response = response.error_for_status()?;
        let version = response.headers().get(VERSION).ok_or("a page without a version")?;
        let version = version.to_str()?.parse()?;
        response.bytes().await?;
        Ok(version)
    }

    /// How many pages `place` serves that are older than the newest: asked once all is quiet.
    pub(crate) async fn old_pages(&self, place: &Place) -> Result<usize, BoxError> {
        let versions = try_join_all((0..PAGES).map(|page| self.read(place, page))).await?;
        let old = |(page, version): &(usize, Version)| *version < self.stage.newest(*page);
        Ok(versions.into_iter().enumerate().filter(old).count())
    }
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
}
