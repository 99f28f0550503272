//! The origin: commits versions, answers slowly, and keeps the oracle.
//!
//! A fetch gives the version of the moment when it began, however late it ends: the race that later passes are for.

use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use purgebus::oracle::{Oracle, Reads, Version};
use tokio::time::{Instant, sleep};

use super::page::Page;

/// The origin of the one site.
#[derive(Debug)]
pub(super) struct Origin {
    began: Instant,
    pages: Vec<Page>,
    longest_fetch: Duration,
    oracle: Mutex<Oracle>,
    rng: Mutex<Rng>,
}

impl Origin {
    /// Every page has its first version.
    pub(super) fn new(pages: Vec<Page>, longest_fetch: Duration, rng: Rng) -> Self {
        let mut oracle = Oracle::default();
        for page in &pages {
            oracle.commit(&page.path(), Duration::ZERO);
        }
        let (oracle, rng) = (Mutex::new(oracle), Mutex::new(rng));
        Self { began: Instant::now(), pages, longest_fetch, oracle, rng }
    }

    /// Time since the world began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// A new version of `page`.
    pub(super) fn commit(&self, page: &Page) -> Version {
        self.oracle.lock().commit(&page.path(), self.now())
    }

    /// The version of now, delivered after a while.
    pub(super) async fn fetch(&self, page: &Page) -> Version {
        let version = self.oracle.lock().newest(&page.path());
        let takes = self.longest_fetch.mul_f64(self.rng.lock().f64());
        sleep(takes).await;
        version
    }

    /// Somebody was told that the purge for `version` is final.
    pub(super) fn finished(&self, page: &Page, version: Version) {
        self.oracle.lock().finished(&page.path(), version, self.now());
    }

    /// A read at `place` that began at `began` gave `version`.
    pub(super) fn judge(&self, place: &str, page: &Page, version: Version, began: Duration) {
        self.oracle.lock().read(place, &page.path(), version, began);
    }

    pub(super) fn reads(&self, place: &str) -> Reads {
        self.oracle.lock().reads(place)
    }
}
