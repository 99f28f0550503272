//! A town around one `serve`, whose caches have witnesses.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use fastrand::Rng;
use tests::eventually;
use tests::serve::{Caches, PAGES, Serve, Settings};
use tests::shop::{Desk, Shop};
use tests::town::{self, Pace, Place, Rest, SLOWEST, inner};

/// Passes of both caches: longer than the slowest rendering, shorter than a life.
const REDIS_REBOUNDS: &str = "rebounds = [\"1s\"]";
const VARNISH_REBOUNDS: &str = "after = \"redis\"\nrebounds = [\"2s\"]";

const PLACE: &str = "local";
const PACE: Pace = Pace {
    pages: 400,
    edit_twice_every: Duration::from_millis(80),
    readers: 3,
    read_every: Duration::from_millis(15),
    final_not_before: Duration::from_secs(2),
};
/// Fewer reads tell nothing.
const READS_MIN: u64 = 1_000;

/// A town with one place.
#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) caches: Caches,
    town: town::Town,
}

impl Town {
    /// Caches that hold pages of before, and a `serve` that has never run before.
    pub(crate) async fn start(rng: &mut Rng) -> (Self, Serve) {
        let desk = Desk::open();
        let shop = Shop::open(desk.clone(), inner(PLACE), rng.fork(), SLOWEST).await;
        let caches = Caches::start(shop.address()).await;
        shop.keep_pages_in(caches.redis.connect().await);
        let place = Place::new(PLACE, shop, caches.reader());
        let mut town = town::Town::found(desk, vec![place], PACE, rng.fork()).await;
        let settings = Settings::default()
            .redis(caches.way_to_redis.address(), PAGES, REDIS_REBOUNDS)
            .varnish(caches.way_to_varnish.address(), VARNISH_REBOUNDS);
        let serve = Serve::start(settings).await;
        // Who publishes before anybody is registered is told so, and owed nothing.
        eventually("the agent is registered", async || {
            !serve.api().lanes("varnish").await.is_empty()
        })
        .await;
        town.open(vec![serve.api().clone()]);
        (Self { caches, town }, serve)
    }

    /// The editors leave; readers go on until everything accepted is final.
    pub(crate) async fn come_to_rest(mut self) -> Rest {
        self.town.come_to_rest().await
    }
}

/// Nothing was lost or stale, and enough was read to tell.
pub(crate) fn is_sound(rest: &Rest) {
    rest.is_sound();
    rest.tells_enough(READS_MIN);
}

impl Deref for Town {
    type Target = town::Town;

    fn deref(&self) -> &town::Town {
        &self.town
    }
}

impl DerefMut for Town {
    fn deref_mut(&mut self) -> &mut town::Town {
        &mut self.town
    }
}
