//! The stored answers: bounded in bytes, the least recently used leave first.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::Request;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use schemas::SiteName;

use super::index::{Index, ObjectId, Page};
use super::stored::{Stored, Use};
use crate::driver::Purge;

/// What is stored for a request.
#[derive(Debug)]
pub(super) enum Found {
    /// An answer that may be given.
    Fresh(Arc<Stored>),
    /// The right answer, but the origin must be asked first.
    Stale(Arc<Stored>),
    /// Other variants only.
    OtherVariants,
    /// Nothing.
    Nothing,
}

/// The store. The index is asked first for everything, so what has left the index is never given again, even
/// while it still takes memory.
#[derive(Debug)]
pub(super) struct Store {
    objects: Cache<ObjectId, Arc<Stored>>,
    index: Arc<Mutex<Index>>,
    putting: Mutex<()>,
}

impl Store {
    /// Empty.
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let index = Arc::<Mutex<Index>>::default();
        let left = index.clone();
        let objects = Cache::builder()
            .max_capacity(capacity_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, stored: &Arc<Stored>| u32::try_from(stored.bytes()).unwrap_or(u32::MAX))
            .eviction_listener(move |id, _, _| left.lock().remove(*id))
            .build();
        Self { objects, index, putting: Mutex::default() }
    }

    /// The latest answer that `request` selects.
    pub(super) fn find(
        &self,
        site: &SiteName,
        page: &Page,
        request: &Request<()>,
        now: SystemTime,
    ) -> Found {
        let ids = self.index.lock().at(site, page);
        let mut found = Found::Nothing;
        for stored in ids.iter().filter_map(|id| self.objects.get(id)) {
            match stored.usable_for(request, now) {
                Use::Fresh => return Found::Fresh(stored),
                Use::Stale => return Found::Stale(stored),
                Use::Other => found = Found::OtherVariants,
            }
        }
        found
    }

    /// Stores the answer to `request` in place of earlier ones that it selects.
    pub(super) fn put(&self, stored: Stored, request: &Request<()>, now: SystemTime) {
        let stored = Arc::new(stored);
        let names = stored.names.clone();
        let _one_at_a_time = self.putting.lock();
        let earlier = self.index.lock().at(&names.site, &names.page);
        for id in earlier {
            let superseded = self.objects.get(&id);
            if superseded.is_some_and(|stored| stored.usable_for(request, now) != Use::Other) {
                self.objects.invalidate(&id);
            }
        }
        // In this order: were it evicted before the index knew of it, the index would keep it for ever.
        let id = self.index.lock().insert(names);
        self.objects.insert(id, stored);
        self.objects.run_pending_tasks();
    }

    /// Removes what `purge` names, and says how much that was. Not what is being fetched: that is stored when it
    /// arrives, however old, as in the caches that this one stands for.
    pub(super) fn purge(&self, purge: &Purge) -> usize {
        let taken = self.index.lock().take(purge);
        for id in &taken {
            self.objects.invalidate(id);
        }
        taken.len()
    }
}
