//! What all of the demo shares: the pages, the oracle, and the time since the curtain rose.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::oracle::{Judgement, Oracle, Reads, Version};

/// The host of the demo's one site.
pub(crate) const HOST: &str = "www.example.com";
/// The name of the demo's one site.
pub(crate) const SITE: &str = "main";
/// The region of the edge that is purged by hand.
pub(crate) const NAIVE: &str = "naive";
/// How many pages change and are read.
pub(crate) const PAGES: usize = 40;
/// How many sections they lie in: the prefixes and half of the tags.
pub(crate) const SECTIONS: usize = 5;

/// The path of page `page`.
pub(crate) fn path(page: usize) -> String {
    format!("/section-{}/page-{page}", page % SECTIONS)
}

/// Who knows what was committed and read.
#[derive(Debug)]
pub(crate) struct Stage {
    oracle: Mutex<Oracle>,
    began: Instant,
}

impl Stage {
    /// Every page has its first version.
    pub(crate) fn new() -> Self {
        let mut oracle = Oracle::default();
        for page in 0..PAGES {
            oracle.commit(&path(page), Duration::ZERO);
        }
        Self { oracle: Mutex::new(oracle), began: Instant::now() }
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A page has changed; answers its new version.
    pub(crate) fn commit(&self, page: usize) -> Version {
        self.oracle.lock().commit(&path(page), self.now())
    }

    /// The newest version of a page: what the origin serves.
    pub(crate) fn newest(&self, page: usize) -> Version {
        self.oracle.lock().newest(&path(page))
    }

    /// The bus says that the purge for this version is final.
    pub(crate) fn finished(&self, page: usize, version: Version) {
        self.oracle.lock().finished(&path(page), version, self.now());
    }

    /// A read at `place` that began at `began` gave `version`.
    pub(crate) fn read(
        &self,
        place: &str,
        page: usize,
        version: Version,
        began: Duration,
    ) -> Judgement {
        self.oracle.lock().read(place, &path(page), version, began)
    }

    /// What was read at `place` so far.
    pub(crate) fn reads(&self, place: &str) -> Reads {
        self.oracle.lock().reads(place)
    }
}
