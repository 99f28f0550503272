//! The caches that an agent reports about, as long as each is one of its own, and whether the board knows of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use schemas::{CacheName, Priority, SiteName};
use tokio::sync::{Notify, watch};

use crate::progress::Progress;

/// Whether the board has taken a report that names a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Not yet, and why.
    Waiting(Option<String>),
    /// It has.
    Done,
}

/// One cache to report about. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReportedCache {
    pub(crate) cache: CacheName,
    pub(crate) driver: String,
    pub(crate) sites: Option<BTreeSet<SiteName>>,
    pub(crate) lanes: BTreeMap<Priority, Arc<Progress>>,
    pub(crate) registered: Arc<watch::Sender<Registration>>,
}

impl ReportedCache {
    /// The board has taken a report that names it, unless there was this trouble.
    pub(crate) fn register(&self, trouble: Option<&str>) {
        self.registered.send_if_modified(|registration| {
            if *registration == Registration::Done {
                return false;
            }
            *registration = trouble
                .map_or(Registration::Done, |why| Registration::Waiting(Some(why.to_owned())));
            true
        });
    }
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    caches: Arc<Mutex<Vec<ReportedCache>>>,
    news: Arc<Notify>,
}

impl Roster {
    /// Nobody yet; who comes or goes is `news`.
    pub(crate) fn new(news: Arc<Notify>) -> Self {
        Self { caches: Arc::default(), news }
    }

    /// These and no others from now on.
    pub(crate) fn set(&self, caches: Vec<ReportedCache>) {
        *self.caches.lock() = caches;
        self.news.notify_one();
    }

    /// Those of now.
    pub(crate) fn caches(&self) -> Vec<ReportedCache> {
        self.caches.lock().clone()
    }
}
