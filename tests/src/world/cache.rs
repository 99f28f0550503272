//! A model cache: read-through, in front of the origin or of an inner cache. It stores whatever it fetched, however old
//! that is by then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use purgebus::oracle::Version;
use schemas::Selector;
use tokio::time::sleep;

use super::origin::Origin;
use super::page::Page;

/// One way between an outer and an inner cache.
const HOP: Duration = Duration::from_millis(20);

/// How a cache answers purges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Well and at once.
    #[default]
    Works,
    /// Well and after this long.
    Slow(Duration),
    /// Not at all; it serves on.
    Down,
    /// It will not purge tags.
    RefusesTags,
}

/// Where a cache fetches what it lacks.
#[derive(Debug)]
pub(super) enum Upstream {
    Origin(Arc<Origin>),
    Inner(Arc<Cache>),
}

/// One cache with its contents.
#[derive(Debug)]
pub(super) struct Cache {
    place: String,
    upstream: Upstream,
    origin: Arc<Origin>,
    stored: Mutex<HashMap<Page, Version>>,
    purged: Mutex<HashMap<Page, Vec<Duration>>>,
    behaviour: Mutex<Behaviour>,
}

impl Cache {
    pub(super) fn new(place: String, upstream: Upstream, origin: Arc<Origin>) -> Self {
        let (stored, purged) = (Mutex::default(), Mutex::default());
        Self { place, upstream, origin, stored, purged, behaviour: Mutex::default() }
    }

    /// What it serves for `page`: what it stores, or else what it fetches and stores now.
    pub(super) async fn get(&self, page: &Page) -> Version {
        let stored = self.stored.lock().get(page).copied();
        if let Some(version) = stored {
            return version;
        }
        let version = match &self.upstream {
            Upstream::Origin(origin) => origin.fetch(page).await,
            Upstream::Inner(inner) => {
                sleep(HOP).await;
                let version = Box::pin(inner.get(page)).await;
                sleep(HOP).await;
                version
            }
        };
        self.stored.lock().insert(page.clone(), version);
        version
    }

    /// A read by a user, judged by the oracle.
    pub(super) async fn read(&self, page: &Page) {
        let began = self.origin.now();
        let version = self.get(page).await;
        self.origin.judge(&self.place, page, version, began);
    }

    /// Removes what `selector` names.
    pub(super) fn purge(&self, selector: &Selector) {
        let now = self.origin.now();
        for page in self.origin.pages().iter().filter(|page| page.is_named_by(selector)) {
            self.stored.lock().remove(page);
            self.purged.lock().entry(page.clone()).or_default().push(now);
        }
    }

    /// Whether it was purged of `page` at `since` or later.
    pub(super) fn purged_since(&self, page: &Page, since: Duration) -> bool {
        self.purges(page).last().is_some_and(|at| *at >= since)
    }

    /// When it was purged of `page`, in order.
    pub(super) fn purges(&self, page: &Page) -> Vec<Duration> {
        self.purged.lock().get(page).cloned().unwrap_or_default()
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().clone()
    }

    /// `region/agent/cache`.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}
