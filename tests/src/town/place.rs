//! A place where people read: a shop, and the caches of one agent before it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use purgebus::oracle::{Reads, Version};

use super::Edge;
use crate::serve::{PAGES, Reader, Settings};
use crate::servers::redis::Redis;
use crate::servers::varnish::{Varnish, include_shipped};
use crate::shop::{Desk, Shop};

/// The slowest rendering of a page: shorter than the shortest pass.
pub const SLOWEST: Duration = Duration::from_millis(400);

/// How often a page is asked for again where there is no answer.
const ASKED_AGAIN: usize = 3;

/// What one agent purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stock {
    /// Redis, from which Varnish is filled.
    VarnishAfterRedis,
    /// Varnish alone.
    Varnish,
    /// Redis alone; people ask the shop itself.
    Redis,
    /// The edge of the product.
    Edge,
}

/// Such a place.
#[derive(Debug)]
pub struct Place {
    name: String,
    shop: Shop,
    reader: Reader,
    redis: Option<Redis>,
    varnish: Option<Varnish>,
    edge: Option<Edge>,
}

impl Place {
    /// Whose caches are looked after elsewhere; people read as `reader` does.
    pub fn new(name: impl Into<String>, shop: Shop, reader: Reader) -> Self {
        let (redis, varnish, edge) = (None, None, None);
        Self { name: name.into(), shop, reader, redis, varnish, edge }
    }

    /// With its caches, started empty.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn open(name: impl Into<String>, stock: Stock, desk: &Arc<Desk>, rng: Rng) -> Self {
        let name = name.into();
        let shop = Shop::open(desk.clone(), inner(&name), rng, SLOWEST).await;
        let (mut redis, mut varnish, mut edge) = (None, None, None);
        if matches!(stock, Stock::VarnishAfterRedis | Stock::Redis) {
            let started = Redis::start().await;
            shop.keep_pages_in(started.connect().await);
            redis = Some(started);
        }
        let address = match stock {
            Stock::VarnishAfterRedis | Stock::Varnish => {
                varnish.insert(start_varnish(&shop).await).address()
            }
            Stock::Edge => edge.insert(Edge::start(shop.address()).await).address(),
            Stock::Redis => shop.address(),
        };
        Self { name, reader: Reader::at(address), shop, redis, varnish, edge }
    }

    /// Its name, which is unique in a town.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its agent is told about its caches. `more` holds further keys of each.
    pub fn settings(&self, more: &str) -> Settings {
        let mut settings = Settings::default();
        let mut outer = more.to_owned();
        if let Some(redis) = &self.redis {
            settings = settings.redis(redis.address(), PAGES, more);
            outer = format!("after = \"redis\"\n{more}");
        }
        if let Some(varnish) = &self.varnish {
            settings = settings.varnish(varnish.address(), &outer);
        }
        if let Some(edge) = &self.edge {
            settings = settings.edge(edge.address(), more);
        }
        settings
    }

    /// Its shop.
    pub fn shop(&self) -> &Shop {
        &self.shop
    }

    /// Whoever reads there.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What was read in its inner cache by the shop, and by people.
    pub(super) fn reads(&self, desk: &Desk) -> [Reads; 2] {
        [desk.reads(&inner(&self.name)), desk.reads(&self.name)]
    }

    /// What is wrong with its caches if `newest` is the newest version of `page`.
    pub(super) async fn loss(&self, page: &str, newest: Version) -> Option<String> {
        let kept = self.shop.kept(page).await.filter(|kept| *kept != newest);
        let mut served = self.reader.try_version(page).await;
        for _ in 0..ASKED_AGAIN {
            // A busy machine may have let somebody wait too long.
            if served.is_none() {
                served = self.reader.try_version(page).await;
            }
        }
        let name = &self.name;
        (kept.is_some() || served != Some(newest))
            .then(|| format!("{name} {page} {newest}: {kept:?} in Redis, {served:?} served"))
    }
}

/// Where the reads of its Redis are counted.
pub fn inner(place: &str) -> String {
    format!("{place}, redis")
}

async fn start_varnish(shop: &Shop) -> Varnish {
    Varnish::start(shop.address(), &include_shipped()).await
}
