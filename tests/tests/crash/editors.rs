//! Editors who change pages, have them purged whatever happens, and ask until it is final.

use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use parking_lot::Mutex;
use purgebus::oracle::Version;
use reqwest::StatusCode;
use schemas::api::ProgressState;
use serde_json::json;
use tests::serve::{Api, Reader};
use tests::shop::Desk;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

/// So many that what a lost purge left is not soon mended by the next edit of that page.
const PAGE_COUNT: usize = 400;
/// A page is edited twice, the second time while somebody gets what the first has emptied.
const EDIT_TWICE_EVERY: Duration = Duration::from_millis(80);
const SECOND_EDIT_AFTER_MS: std::ops::Range<u64> = 20..200;
/// How often an editor tries again whom nobody answers.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often the unfinished are asked after, and how many at once.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
const FOLLOWED_AT_ONCE: usize = 30;
/// Nothing is final earlier.
const FINAL_NOT_BEFORE: Duration = Duration::from_secs(2);
/// Longest time until everything accepted is final, once all is quiet.
const PATIENCE: Duration = Duration::from_mins(2);

/// An edit whose purge was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// The tag that goes with it and with no other.
    pub(crate) marker: String,
    /// When the 202 came.
    pub(crate) accepted: Instant,
    id: Uuid,
    page: String,
    version: Version,
    finished: bool,
}

/// Those who change pages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Editors {
    desk: Arc<Desk>,
    reader: Reader,
    api: Api,
    rng: Arc<Mutex<Rng>>,
    edits: Arc<Mutex<Vec<Edit>>>,
    unknown: Arc<Mutex<Vec<Uuid>>>,
}

impl Editors {
    pub(crate) fn new(desk: Arc<Desk>, reader: Reader, api: Api, rng: Rng) -> Self {
        let rng = Arc::new(Mutex::new(rng));
        Self { desk, reader, api, rng, edits: Arc::default(), unknown: Arc::default() }
    }

    /// A page changes, and its purge is accepted sooner or later. Answers the edit.
    pub(crate) async fn edit(&self) -> Edit {
        let page = any_page(&mut self.rng.lock());
        self.edit_page(page).await
    }

    async fn edit_page(&self, page: String) -> Edit {
        let marker = format!("n-{:016x}", self.rng.lock().u64(..));
        let version = self.desk.commit(&page);
        let url = format!("https://www.example.com{page}");
        let body = json!({"urls": [url], "tags": [marker]});
        let accepted = loop {
            match self.api.try_publish(&body, &marker).await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    let refused = error.status().is_some_and(|status| status.is_client_error());
                    assert!(!refused, "{error}");
                    sleep(AGAIN_AFTER).await;
                }
            }
        };
        let (id, accepted) = (accepted.id, Instant::now());
        let edit = Edit { marker, accepted, id, page, version, finished: false };
        self.edits.lock().push(edit.clone());
        edit
    }

    /// Everything accepted so far.
    pub(crate) fn accepted(&self) -> Vec<Edit> {
        self.edits.lock().clone()
    }

    /// Accepted ids that a running process did not know.
    pub(crate) fn unknown(&self) -> Vec<Uuid> {
        self.unknown.lock().clone()
    }

    /// Edits at a fixed rate, whether or not anybody answers.
    pub(crate) async fn edit_on(self, stop: Stop) {
        let mut ticks = interval(EDIT_TWICE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut under_way = JoinSet::new();
        while !stop.is_requested() {
            let editors = self.clone();
            under_way.spawn(async move { editors.edit_twice().await });
            ticks.tick().await;
            while let Some(done) = under_way.try_join_next() {
                done.expect("an edit");
            }
        }
        under_way.join_all().await;
    }

    /// An editor saves, looks at the page, and saves again meanwhile.
    async fn edit_twice(&self) {
        let page = any_page(&mut self.rng.lock());
        self.edit_page(page.clone()).await;
        let pause = Duration::from_millis(self.rng.lock().u64(SECOND_EDIT_AFTER_MS));
        let again = async {
            sleep(pause).await;
            self.edit_page(page.clone()).await;
        };
        tokio::join!(self.desk.read(&self.reader, &page), again);
    }

    /// Tells the oracle what the bus says is final.
    pub(crate) async fn follow(self, stop: Stop) {
        while !stop.is_requested() {
            self.look_after_some().await;
            sleep(FOLLOW_EVERY).await;
        }
    }

    /// True once nothing is unfinished.
    async fn look_after_some(&self) -> bool {
        let unfinished: Vec<(usize, Edit)> = {
            let edits = self.edits.lock();
            let all = edits.iter().enumerate().filter(|(_, edit)| !edit.finished);
            all.map(|(at, edit)| (at, edit.clone())).collect()
        };
        let old = |edit: &Edit| edit.accepted.elapsed() >= FINAL_NOT_BEFORE;
        for (at, edit) in unfinished.iter().filter(|(_, edit)| old(edit)).take(FOLLOWED_AT_ONCE) {
            match self.api.try_status(edit.id).await {
                Ok(progress) if progress.state == ProgressState::Final => {
                    self.desk.finished(&edit.page, edit.version);
                    self.edits.lock()[*at].finished = true;
                }
                Ok(_) => {}
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                    self.unknown.lock().push(edit.id);
                    self.edits.lock()[*at].finished = true;
                }
                // It is dead just now.
                Err(_) => return false,
            }
        }
        unfinished.is_empty()
    }

    /// Waits until everything accepted is final.
    pub(crate) async fn finish_all(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.look_after_some().await {
            if Instant::now() >= deadline {
                let edits = self.accepted();
                let unfinished = edits.iter().find(|edit| !edit.finished).expect("one");
                let progress = self.api.try_status(unfinished.id).await;
                panic!("{} is not final: {progress:#?}", unfinished.marker);
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}

/// Every page.
pub(crate) fn pages() -> impl Iterator<Item = String> {
    (0..PAGE_COUNT).map(|at| format!("/page/{at}"))
}

/// Some page.
pub(crate) fn any_page(rng: &mut Rng) -> String {
    format!("/page/{}", rng.usize(..PAGE_COUNT))
}
