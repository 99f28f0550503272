//! The stored answers: bounded in bytes, the least recently used leave first.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::Request;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use schemas::SiteName;

use super::index::{Index, ObjectId, Page};
use super::status::Reason;
use super::stored::{Stored, Use};
use crate::driver::Purge;

/// What is stored for a request.
#[derive(Debug)]
pub(super) enum Found {
    /// An answer that may be given.
    Fresh(Arc<Stored>),
    /// Nothing that may be given without the origin.
    Lacking {
        /// Why.
        reason: Reason,
        /// The right answer all the same, if the origin says that it still holds.
        stale: Option<Arc<Stored>>,
    },
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
        let mut reason = Reason::UriMiss;
        for stored in ids.iter().filter_map(|id| self.objects.get(id)) {
            match stored.usable_for(request, now) {
                Use::Fresh => return Found::Fresh(stored),
                Use::Stale => {
                    let is_old = stored.fresh_for(now).is_zero();
                    let reason = if is_old { Reason::Stale } else { Reason::Request };
                    return Found::Lacking { reason, stale: Some(stored) };
                }
                Use::Other => reason = Reason::VaryMiss,
            }
        }
        Found::Lacking { reason, stale: None }
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

#[cfg(test)]
mod tests {
    use super::super::stored::tests::{names, request, response};
    use super::*;

    fn put(store: &Store, path: &str) {
        let (request, now) = (request(), SystemTime::UNIX_EPOCH);
        let response = response(&[("cache-control", "max-age=60")]);
        store.put(Stored::of(names(path), &request, &response, now).unwrap(), &request, now);
    }

    #[test]
    fn the_index_is_as_small_as_the_store() {
        let store = Store::new(100_000);
        for at in 0..1_000 {
            put(&store, &format!("/{at}"));
        }
        let known = store.index.lock().len();
        assert_eq!(u64::try_from(known).unwrap(), store.objects.entry_count());
        assert!((40..100).contains(&known), "{known} objects of a good kilobyte");
        assert!(store.objects.weighted_size() <= 100_000);
    }

    #[test]
    fn an_answer_takes_the_place_of_the_one_before() {
        let store = Store::new(100_000);
        for _ in 0..10 {
            put(&store, "/a");
        }
        assert_eq!(store.index.lock().len(), 1);
    }
}
