//! Editors who change pages, have them purged whatever happens, and ask until it is final.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use futures::StreamExt;
use futures::stream::iter;
use parking_lot::Mutex;
use purgebus::oracle::Version;
use reqwest::StatusCode;
use schemas::api::{Durable, ProgressState};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::Pace;
use crate::serve::{Api, Reader};
use crate::shop::Desk;

/// A page is edited twice, the second time while somebody gets what the first has emptied.
const SECOND_EDIT_AFTER_MS: std::ops::Range<u64> = 20..200;
/// How often an editor tries again whom nobody answers.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often the unfinished are asked after, and how many at once.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
const FOLLOWED_AT_ONCE: usize = 30;
/// Questions under way at the same time, once all is quiet.
const QUESTIONS_AT_ONCE: usize = 8;
/// So many of the latest edits are asked of every publisher.
const ASKED_EVERYWHERE: usize = 60;
/// Longest time until everything accepted is final, once all is quiet.
const PATIENCE: Duration = Duration::from_mins(2);

/// An edit whose purge was accepted.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The tag that goes with it and with no other.
    pub marker: String,
    /// When the 202 came.
    pub accepted: Instant,
    /// What the 202 promised.
    pub durable: Durable,
    /// What it is called on the bus.
    pub id: Uuid,
    /// The publisher who accepted it.
    accepted_by: SocketAddr,
    page: String,
    version: Version,
    finished: bool,
    /// Every publisher has said so.
    finished_everywhere: bool,
}

/// Those who change pages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Editors {
    desk: Arc<Desk>,
    readers: Vec<(String, Reader)>,
    pace: Pace,
    apis: Arc<Mutex<Vec<Api>>>,
    rng: Arc<Mutex<Rng>>,
    edits: Arc<Mutex<Vec<Edit>>>,
    unknown: Arc<Mutex<Vec<Uuid>>>,
}

impl Editors {
    pub(super) fn new(
        desk: Arc<Desk>,
        readers: Vec<(String, Reader)>,
        pace: Pace,
        rng: Rng,
    ) -> Self {
        let rng = Arc::new(Mutex::new(rng));
        let (apis, edits, unknown) = (Arc::default(), Arc::default(), Arc::default());
        Self { desk, readers, pace, apis, rng, edits, unknown }
    }

    /// From now on they publish at any of these, and ask any of them.
    pub fn turn_to(&self, apis: Vec<Api>) {
        *self.apis.lock() = apis;
    }

    /// A page changes, and its purge is accepted sooner or later. Answers the edit.
    pub async fn edit(&self) -> Edit {
        let page = self.pace.any_page(&mut self.rng.lock());
        self.edit_page(page).await
    }

    async fn edit_page(&self, page: String) -> Edit {
        let marker = format!("n-{:016x}", self.rng.lock().u64(..));
        let version = self.desk.commit(&page);
        let url = format!("https://www.example.com{page}");
        let body = json!({"urls": [url], "tags": [marker]});
        let (accepted, accepted_by) = loop {
            let publisher = self.any_publisher();
            match publisher.try_publish(&body, &marker).await {
                Ok(accepted) => break (accepted, publisher.address()),
                Err(error) => {
                    let refused = error.status().is_some_and(|status| status.is_client_error());
                    assert!(!refused, "{error}");
                    sleep(AGAIN_AFTER).await;
                }
            }
        };
        let edit = Edit {
            marker,
            accepted: Instant::now(),
            durable: accepted.durable,
            id: accepted.id,
            accepted_by,
            page,
            version,
            finished: false,
            finished_everywhere: false,
        };
        self.edits.lock().push(edit.clone());
        edit
    }

    /// Everything accepted so far.
    pub fn accepted(&self) -> Vec<Edit> {
        self.edits.lock().clone()
    }

    /// Accepted ids that the publisher who had accepted them did not know.
    pub(super) fn unknown(&self) -> Vec<Uuid> {
        self.unknown.lock().clone()
    }

    /// Edits at a fixed rate, whether or not anybody answers.
    pub(super) async fn edit_on(self, stop: Stop) {
        let mut ticks = interval(self.pace.edit_twice_every);
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
        let page = self.pace.any_page(&mut self.rng.lock());
        self.edit_page(page.clone()).await;
        let pause = Duration::from_millis(self.rng.lock().u64(SECOND_EDIT_AFTER_MS));
        let again = async {
            sleep(pause).await;
            self.edit_page(page.clone()).await;
        };
        let (place, reader) = &self.readers[self.rng.lock().usize(..self.readers.len())];
        tokio::join!(self.desk.read(place, reader, &page), again);
    }

    /// Tells the oracle what the bus says is final.
    pub(super) async fn follow(self, stop: Stop) {
        while !stop.is_requested() {
            self.look_after_some().await;
            sleep(FOLLOW_EVERY).await;
        }
    }

    /// True once nothing is unfinished.
    async fn look_after_some(&self) -> bool {
        let unfinished = self.all_that(|edit| !edit.finished);
        let old = |edit: &&(usize, Edit)| edit.1.accepted.elapsed() >= self.pace.final_not_before;
        let some = unfinished.iter().filter(old).take(FOLLOWED_AT_ONCE);
        let look = async |(at, edit): &(usize, Edit)| self.look_after(*at, edit).await;
        iter(some).for_each_concurrent(QUESTIONS_AT_ONCE, look).await;
        unfinished.is_empty()
    }

    /// Asks the publisher who accepted it; any, where that one is gone.
    async fn look_after(&self, at: usize, edit: &Edit) {
        let mut publishers = self.publishers();
        let own = publishers.iter().position(|publisher| publisher.address() == edit.accepted_by);
        let asked = publishers.swap_remove(own.unwrap_or_default());
        match asked.try_status(edit.id).await {
            Ok(progress) if progress.state == ProgressState::Final => self.finished(at, edit),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                self.is_unknown(at, edit);
            }
            // Not yet, or it is dead just now.
            _ => {}
        }
    }

    /// Waits until everything accepted is final, whichever publisher is asked.
    ///
    /// # Panics
    /// When that takes too long.
    pub(super) async fn finish_all(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.look_after_some().await {
            if Instant::now() >= deadline {
                self.explain(&self.all_that(|edit| !edit.finished)).await;
            }
            sleep(AGAIN_AFTER).await;
        }
        loop {
            let doubtful = self.doubtful();
            if doubtful.is_empty() {
                return;
            }
            if Instant::now() >= deadline {
                self.explain(&doubtful).await;
            }
            let look = async |(at, edit): &(usize, Edit)| self.look_everywhere(*at, edit).await;
            iter(&doubtful).for_each_concurrent(QUESTIONS_AT_ONCE, look).await;
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Of what was accepted last, as much as can be asked of everybody in a short time.
    fn doubtful(&self) -> Vec<(usize, Edit)> {
        let mut edits = self.all_that(|_| true);
        let mut latest = edits.split_off(edits.len().saturating_sub(ASKED_EVERYWHERE));
        latest.retain(|(_, edit)| !edit.finished_everywhere);
        latest
    }

    async fn look_everywhere(&self, at: usize, edit: &Edit) {
        for publisher in self.publishers() {
            match publisher.try_status(edit.id).await {
                Ok(progress) if progress.state == ProgressState::Final => {}
                Err(error)
                    if error.status() == Some(StatusCode::NOT_FOUND)
                        && self.must_know(&publisher, edit) =>
                {
                    return self.is_unknown(at, edit);
                }
                _ => return,
            }
        }
        self.edits.lock()[at].finished_everywhere = true;
    }

    /// Another one may not have heard of it yet, while the one who accepted it is there.
    fn must_know(&self, asked: &Api, edit: &Edit) -> bool {
        let accepted_it = |publisher: &Api| publisher.address() == edit.accepted_by;
        accepted_it(asked) || !self.publishers().iter().any(accepted_it)
    }

    fn is_unknown(&self, at: usize, edit: &Edit) {
        self.unknown.lock().push(edit.id);
        let mut edits = self.edits.lock();
        (edits[at].finished, edits[at].finished_everywhere) = (true, true);
    }

    async fn explain(&self, unfinished: &[(usize, Edit)]) -> ! {
        let mut said = Vec::new();
        let (_, edit) = unfinished.first().expect("one");
        for api in self.publishers() {
            said.push(api.try_status(edit.id).await);
        }
        panic!("{} are not final everywhere, such as {edit:#?}: {said:#?}", unfinished.len())
    }

    fn finished(&self, at: usize, edit: &Edit) {
        self.desk.finished(&edit.page, edit.version);
        self.edits.lock()[at].finished = true;
    }

    fn all_that(&self, is_so: impl Fn(&Edit) -> bool) -> Vec<(usize, Edit)> {
        let edits = self.edits.lock();
        let all = edits.iter().enumerate().filter(|(_, edit)| is_so(edit));
        all.map(|(at, edit)| (at, edit.clone())).collect()
    }

    fn publishers(&self) -> Vec<Api> {
        self.apis.lock().clone()
    }

    fn any_publisher(&self) -> Api {
        let mut publishers = self.publishers();
        let any = self.rng.lock().usize(..publishers.len());
        publishers.swap_remove(any)
    }
}
