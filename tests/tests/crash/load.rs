//! Editors who change pages and have them purged whatever happens, and readers who get them meanwhile.

use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use parking_lot::Mutex;
use purgebus::oracle::{Reads, Version};
use schemas::api::ProgressState;
use serde_json::json;
use tests::serve::{Api, Caches, PAGES, Reader, Serve, Settings};
use tests::shop::{Desk, REDIS, Shop, VARNISH};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

/// Passes of both caches: longer than the slowest rendering, shorter than a life.
const REDIS_REBOUNDS: &str = "rebounds = [\"300ms\", \"1s\"]";
const VARNISH_REBOUNDS: &str = "after = \"redis\"\nrebounds = [\"500ms\", \"2s\"]";
const SLOWEST: Duration = Duration::from_millis(400);

const PAGE_COUNT: usize = 40;
const EDIT_EVERY: Duration = Duration::from_millis(40);
const READERS: usize = 3;
const READ_EVERY: Duration = Duration::from_millis(15);
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

/// A town of caches, readers and editors around one `serve`.
#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) caches: Caches,
    pub(crate) shop: Shop,
    pub(crate) editors: Editors,
    editing: JoinSet<()>,
    reading: JoinSet<()>,
    no_more_edits: Stop,
    no_more_reads: Stop,
}

/// Those who change pages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Editors {
    desk: Arc<Desk>,
    api: Api,
    rng: Arc<Mutex<Rng>>,
    edits: Arc<Mutex<Vec<Edit>>>,
    /// Accepted ids that a running process did not know.
    unknown: Arc<Mutex<Vec<Uuid>>>,
}

impl Town {
    /// Caches that hold pages of before, and a `serve` that has never run before.
    pub(crate) async fn start(rng: &mut Rng) -> (Self, Serve) {
        let shop = Shop::open(rng.fork(), SLOWEST).await;
        let caches = Caches::start(shop.address()).await;
        shop.keep_pages_in(caches.redis.connect().await);
        for page in 0..PAGE_COUNT {
            let page = format!("/page/{page}");
            shop.desk().commit(&page);
            shop.desk().read(&caches.reader(), &page).await;
        }
        let settings = Settings::default()
            .redis(caches.way_to_redis.address(), PAGES, REDIS_REBOUNDS)
            .varnish(caches.way_to_varnish.address(), VARNISH_REBOUNDS);
        let serve = Serve::start(settings).await;
        // Who publishes before anybody is registered is told so, and owed nothing.
        while serve.api().lanes("varnish").await.is_empty() {
            sleep(AGAIN_AFTER).await;
        }
        let editors = Editors {
            desk: shop.desk(),
            api: serve.api().clone(),
            rng: Arc::new(Mutex::new(rng.fork())),
            edits: Arc::default(),
            unknown: Arc::default(),
        };
        let (no_more_edits, no_more_reads) = (Stop::new(), Stop::new());
        let (mut editing, mut reading) = (JoinSet::new(), JoinSet::new());
        editing.spawn(editors.clone().edit_on(no_more_edits.clone()));
        reading.spawn(editors.clone().follow(no_more_reads.clone()));
        for _ in 0..READERS {
            let until = no_more_reads.clone();
            reading.spawn(read_on(shop.desk(), caches.reader(), rng.fork(), until));
        }
        let town = Self { caches, shop, editors, editing, reading, no_more_edits, no_more_reads };
        (town, serve)
    }

    /// The editors leave; readers go on until everything accepted is final.
    pub(crate) async fn come_to_rest(self) -> Rest {
        self.no_more_edits.request();
        self.editing.join_all().await;
        self.editors.finish_all().await;
        self.no_more_reads.request();
        self.reading.join_all().await;
        let mut lost = Vec::new();
        for (page, newest) in self.shop.desk().pages() {
            let kept = self.shop.desk().kept(&page).await;
            if kept.is_some_and(|kept| kept != newest) {
                lost.push(format!("{page} in Redis: {kept:?} of {newest}"));
            }
            let served = self.caches.version(&page).await;
            if served != newest {
                lost.push(format!("{page} in Varnish: {served} of {newest}"));
            }
        }
        let desk = self.shop.desk();
        let reads = [desk.reads(REDIS), desk.reads(VARNISH)];
        let edits = self.editors.edits.lock().clone();
        let unknown = self.editors.unknown.lock().clone();
        Rest { edits, lost, reads, unknown }
    }
}

/// What is found when all is quiet.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) edits: Vec<Edit>,
    lost: Vec<String>,
    reads: [Reads; 2],
    unknown: Vec<Uuid>,
}

impl Rest {
    /// Nothing accepted was lost, and nobody got an old page after final.
    pub(crate) fn is_sound(&self) {
        let [redis, varnish] = self.reads;
        assert!(self.unknown.is_empty(), "accepted, then unknown: {:?}", self.unknown);
        assert!(self.lost.is_empty(), "lost: {:#?}", self.lost);
        assert_eq!((redis.stale, varnish.stale), (0, 0), "stale after final: {:?}", self.reads);
        assert!(varnish.checked > 1_000, "too few reads to tell: {varnish:?}");
        assert!(redis.late + varnish.late > 0, "no race was ever run: {:?}", self.reads);
    }

    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        let [redis, varnish] = self.reads;
        format!(
            "{} purges accepted, all final; {} pages lost; reads checked in Redis {} (late {}, stale {}), \
             in Varnish {} (late {}, stale {})",
            self.edits.len(),
            self.lost.len(),
            redis.checked,
            redis.late,
            redis.stale,
            varnish.checked,
            varnish.late,
            varnish.stale
        )
    }
}

impl Editors {
    /// A page changes, and its purge is accepted sooner or later. Answers the edit.
    pub(crate) async fn edit(&self) -> Edit {
        let (page, marker) = {
            let mut rng = self.rng.lock();
            (format!("/page/{}", rng.usize(..PAGE_COUNT)), format!("n-{:016x}", rng.u64(..)))
        };
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

    /// Edits at a fixed rate, whether or not anybody answers.
    async fn edit_on(self, stop: Stop) {
        let mut ticks = interval(EDIT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut under_way = JoinSet::new();
        while !stop.is_requested() {
            let editors = self.clone();
            under_way.spawn(async move { drop(editors.edit().await) });
            ticks.tick().await;
            while let Some(done) = under_way.try_join_next() {
                done.expect("an edit");
            }
        }
        under_way.join_all().await;
    }

    /// Tells the oracle what the bus says is final.
    async fn follow(self, stop: Stop) {
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
                Err(error) if error.status() == Some(reqwest::StatusCode::NOT_FOUND) => {
                    self.unknown.lock().push(edit.id);
                    self.edits.lock()[*at].finished = true;
                }
                // It is dead just now.
                Err(_) => return false,
            }
        }
        unfinished.is_empty()
    }

    async fn finish_all(&self) {
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

async fn read_on(desk: Arc<Desk>, reader: Reader, mut rng: Rng, stop: Stop) {
    while !stop.is_requested() {
        let page = format!("/page/{}", rng.usize(..PAGE_COUNT));
        desk.read(&reader, &page).await;
        sleep(READ_EVERY).await;
    }
}
