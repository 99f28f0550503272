//! A town around one `serve`: its caches, the shop behind them, editors and readers.

use std::sync::Arc;
use std::time::Duration;

use daemon::Stop;
use fastrand::Rng;
use futures::future::join_all;
use purgebus::oracle::Version;
use tests::eventually;
use tests::serve::{Caches, PAGES, Reader, Serve, Settings};
use tests::shop::{Desk, REDIS, Shop, VARNISH};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::editors::{Editors, any_page, pages};
use crate::rest::Rest;

/// Passes of both caches: longer than the slowest rendering, shorter than a life.
const REDIS_REBOUNDS: &str = "rebounds = [\"1s\"]";
const VARNISH_REBOUNDS: &str = "after = \"redis\"\nrebounds = [\"2s\"]";
const SLOWEST: Duration = Duration::from_millis(400);

const READERS: usize = 3;
const READ_EVERY: Duration = Duration::from_millis(15);

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

impl Town {
    /// Caches that hold pages of before, and a `serve` that has never run before.
    pub(crate) async fn start(rng: &mut Rng) -> (Self, Serve) {
        let shop = Shop::open(rng.fork(), SLOWEST).await;
        let caches = Caches::start(shop.address()).await;
        shop.keep_pages_in(caches.redis.connect().await);
        let (desk, reader) = (shop.desk(), caches.reader());
        let fill = async |page: String| {
            desk.commit(&page);
            desk.read(&reader, &page).await;
        };
        join_all(pages().map(fill)).await;
        let settings = Settings::default()
            .redis(caches.way_to_redis.address(), PAGES, REDIS_REBOUNDS)
            .varnish(caches.way_to_varnish.address(), VARNISH_REBOUNDS);
        let serve = Serve::start(settings).await;
        // Who publishes before anybody is registered is told so, and owed nothing.
        eventually("the agent is registered", async || {
            !serve.api().lanes("varnish").await.is_empty()
        })
        .await;
        let editors = Editors::new(shop.desk(), reader, serve.api().clone(), rng.fork());
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
        let desk = self.shop.desk();
        let look = async |(page, newest): (String, Version)| {
            let kept = desk.kept(&page).await.filter(|kept| *kept != newest);
            let served = Some(self.caches.version(&page).await).filter(|served| *served != newest);
            let lost = kept.is_some() || served.is_some();
            lost.then(|| format!("{page} {newest}: {kept:?} in Redis, {served:?} in Varnish"))
        };
        let lost = join_all(desk.pages().into_iter().map(look)).await;
        let lost = lost.into_iter().flatten().collect();
        let reads = [desk.reads(REDIS), desk.reads(VARNISH)];
        let (edits, unknown) = (self.editors.accepted(), self.editors.unknown());
        Rest { edits, lost, reads, unknown }
    }
}

async fn read_on(desk: Arc<Desk>, reader: Reader, mut rng: Rng, stop: Stop) {
    while !stop.is_requested() {
        let page = any_page(&mut rng);
        desk.read(&reader, &page).await;
        sleep(READ_EVERY).await;
    }
}
