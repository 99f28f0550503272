//! The editors' desk: commits pages, asks for their purges, and keeps account until each is final.

use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use parking_lot::Mutex;
use purgebus::oracle::Version;
use schemas::api::{InvalidationRequest, ProgressState};
use tokio::time::sleep;
use uuid::Uuid;

use super::cache::Cache;
use super::origin::Origin;
use super::page::Page;
use super::publisher_process::Door;
use super::wish;

/// How often the desk asks how far things have come, and asks again where nobody answered.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Changes become final about in their order: so many that are not are looked at each time.
const LOOK_PAST: usize = 3;

/// A change that the publisher has accepted.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) id: Uuid,
    pages: Vec<(Page, Version)>,
    committed: Duration,
}

impl Change {
    /// The pages that `cache` was not purged of since they changed.
    pub(super) fn missed_by<'a>(&'a self, cache: &'a Cache) -> impl Iterator<Item = &'a Page> {
        let missed = |page: &&Page| !cache.purged_since(page, self.committed);
        self.pages.iter().map(|(page, _)| page).filter(missed)
    }
}

/// The desk.
#[derive(Debug)]
pub(super) struct Desk {
    origin: Arc<Origin>,
    door: Arc<Door>,
    open: Mutex<Vec<Change>>,
    finished: Mutex<Vec<Change>>,
}

impl Desk {
    pub(super) fn new(origin: Arc<Origin>, door: Arc<Door>) -> Self {
        Self { origin, door, open: Mutex::default(), finished: Mutex::default() }
    }

    /// Asks until somebody accepts. Answers the id.
    pub(super) async fn ask(&self, request: &InvalidationRequest) -> Uuid {
        loop {
            if let Some(id) = self.door.accept(request).await {
                return id;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Commits every page that the request names, and asks for their purge.
    pub(super) async fn change(&self, request: &InvalidationRequest) -> Uuid {
        let committed = self.origin.now();
        let named = self.origin.pages().iter().filter(|page| wish::names(request, page));
        let pages = named.map(|page| (page.clone(), self.origin.commit(page))).collect();
        let id = self.ask(request).await;
        self.open.lock().push(Change { id, pages, committed });
        id
    }

    /// Changes something about so often, until stopped.
    pub(super) async fn edit(self: Arc<Self>, every: Duration, mut rng: Rng, stop: Stop) {
        while !stop.is_requested() {
            sleep(every.mul_f64(2.0 * rng.f64())).await;
            let page = rng.choice(self.origin.pages()).expect("a world has pages");
            self.change(&wish::any(page, &mut rng)).await;
        }
    }

    /// Tells the oracle of every change that the publisher calls final, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            let open = self.open.lock().clone();
            let mut not_final = 0;
            for change in open {
                let progress = self.door.progress(change.id).await;
                if progress.is_some_and(|progress| progress.state == ProgressState::Final) {
                    self.finish(&change);
                } else {
                    not_final += 1;
                }
                if not_final == LOOK_PAST {
                    break;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn finish(&self, change: &Change) {
        for (page, version) in &change.pages {
            self.origin.finished(page, *version);
        }
        self.open.lock().retain(|open| open.id != change.id);
        self.finished.lock().push(change.clone());
    }

    /// What is accepted and not final.
    pub(super) fn open(&self) -> Vec<Uuid> {
        self.open.lock().iter().map(|change| change.id).collect()
    }

    /// What is accepted and final.
    pub(super) fn finished(&self) -> Vec<Change> {
        self.finished.lock().clone()
    }
}
