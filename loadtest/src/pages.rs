//! Pages in real caches before an application, and an oracle who knows which version each reader has to get: what a
//! purge that was lost leaves behind is seen there, whatever anybody says about it.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::tests::serve::{Api, Reader, Settings};
use ::tests::servers::varnish::{Varnish, shipped_vcl};
use ::tests::shop::{Desk, Shop};
use ::tests::town::Edge;
use anyhow::ensure;
use fastrand::Rng;
use futures::{StreamExt as _, stream};
use schemas::api::ProgressState;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The VCL of a user who has none of ours: a request for each page.
pub(crate) const PLAIN_VCL: &str =
    "sub vcl_recv { if (req.method == \"PURGE\") { return (purge); } }";
/// The version of a page that has changed once.
const CHANGED: u64 = 2;
/// Reads under way at once.
const AT_ONCE: usize = 16;
/// How often the bus is asked for what is final, and for how long.
const ASK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_mins(3);

/// The application, the caches before it, and the oracle.
#[derive(Debug)]
pub(crate) struct Pages {
    desk: Arc<Desk>,
    fronts: Vec<Front>,
    /// Whether its Varnish has a VCL that is none of ours.
    plain: bool,
    shop: Shop,
}

/// A cache, and who reads there.
#[derive(Debug)]
struct Front {
    /// Where reads are counted.
    place: String,
    address: SocketAddr,
    reader: Reader,
    _cache: Cache,
}

/// What ends when it is dropped.
#[derive(Debug)]
enum Cache {
    Varnish { _varnish: Box<Varnish> },
    Edge { _edge: Edge },
}

/// What the oracle found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Pages that were looked at.
    pub(crate) checked: u64,
    /// Of them those that the cache still serves in an old version, once all is quiet.
    pub(crate) lost: u64,
    /// Of them those of which the bus said before that the purge was final.
    pub(crate) stale: u64,
    /// Purges that the bus never called final.
    pub(crate) unfinished: usize,
}

impl Pages {
    /// Starts all of it, with the VCL that we ship.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_as(false).await
    }

    /// Starts all of it, with the VCL that we ship, or with a plain one.
    pub(crate) async fn start_as(plain: bool) -> anyhow::Result<Self> {
        let shipped = fs::canonicalize(shipped_vcl())?;
        let shipped = format!("include \"{}\";\n", shipped.display());
        let vcl = if plain { PLAIN_VCL } else { &shipped };
        let mut pages = Self { plain, ..Self::open().await };
        let varnish = Varnish::start(pages.shop.address(), vcl).await;
        let (address, cache) = (varnish.address(), Cache::Varnish { _varnish: Box::new(varnish) });
        pages.fronts.push(Front::new("varnish".to_owned(), address, cache));
        Ok(pages)
    }

    /// Starts all of it with so many edges of the product, each of which holds every page.
    pub(crate) async fn start_edges(count: usize) -> Self {
        let mut pages = Self::open().await;
        for at in 0..count {
            let edge = Edge::start(pages.shop.address()).await;
            let (address, cache) = (edge.address(), Cache::Edge { _edge: edge });
            pages.fronts.push(Front::new(format!("edge-{at}"), address, cache));
        }
        pages
    }

    /// Without a cache yet.
    async fn open() -> Self {
        let (desk, rng) = (Desk::open(), Rng::new());
        let shop = Shop::open(desk.clone(), "shop", rng, Duration::ZERO).await;
        Self { desk, fronts: Vec::new(), plain: false, shop }
    }

    /// What an agent is told of this cache: to purge it once.
    pub(crate) fn before_agent(&self) -> Settings {
        // Without our VCL nothing can be flushed; and nothing is there yet.
        let empty = if self.plain { "starts_empty = true\n" } else { "" };
        Settings::default().varnish(self.varnish(), &format!("{empty}rebounds = []"))
    }

    /// Where Varnish listens.
    pub(crate) fn varnish(&self) -> SocketAddr {
        self.caches()[0]
    }

    /// Where each cache listens.
    pub(crate) fn caches(&self) -> Vec<SocketAddr> {
        self.fronts.iter().map(|front| front.address).collect()
    }

    /// Stores these pages in every cache, and changes each: whoever reads it gets an old one until it is purged.
    ///
    /// # Errors
    /// When a cache does not keep one.
    pub(crate) async fn age(&self, paths: &[String]) -> anyhow::Result<()> {
        let kept = stream::iter(paths).map(async |path| {
            let version = self.desk.commit(path);
            for front in &self.fronts {
                self.desk.read(&front.place, &front.reader, path).await;
            }
            self.desk.commit(path);
            for front in &self.fronts {
                if front.reader.try_version(path).await != Some(version) {
                    return false;
                }
            }
            true
        });
        let kept = kept.buffer_unordered(AT_ONCE).filter(|kept| std::future::ready(*kept));
        let kept = kept.count().await;
        ensure!(
            kept == paths.len(),
            "{} of {} pages are not cached",
            paths.len() - kept,
            paths.len()
        );
        Ok(())
    }

    /// Waits until the bus calls all of these final, each the purge of a page, and has the oracle read each page.
    pub(crate) async fn look_through(
        &self,
        api: &Api,
        published: impl IntoIterator<Item = (Uuid, String)>,
    ) -> Verdict {
        let mut waiting: HashMap<Uuid, String> = published.into_iter().collect();
        let paths: Vec<_> = waiting.values().cloned().collect();
        let deadline = Instant::now() + PATIENCE;
        while !waiting.is_empty() && Instant::now() < deadline {
            for id in finals(api, &waiting).await {
                if let Some(path) = waiting.remove(&id) {
                    self.desk.finished(&path, CHANGED);
                }
            }
            sleep(ASK_EVERY).await;
        }
        self.judge(&paths).await.and(Verdict { unfinished: waiting.len(), ..Verdict::default() })
    }

    /// An agent says that it has settled the purges of these; the oracle reads each page.
    pub(crate) async fn judge_settled(&self, paths: &[String]) -> Verdict {
        for path in paths {
            self.desk.finished(path, CHANGED);
        }
        self.judge(paths).await
    }

    /// Reads these pages in each cache, which nobody has read since they changed.
    async fn judge(&self, paths: &[String]) -> Verdict {
        let mut found = Verdict::default();
        for Front { place, reader, .. } in &self.fronts {
            let before = self.desk.reads(place).stale;
            let old = stream::iter(paths).map(async |path| {
                self.desk.read(place, reader, path).await;
                reader.try_version(path).await != Some(CHANGED)
            });
            let old = old.buffer_unordered(AT_ONCE).filter(|old| std::future::ready(*old));
            let lost = old.count().await as u64;
            let stale = self.desk.reads(place).stale - before;
            found = found.and(Verdict { checked: paths.len() as u64, lost, stale, unfinished: 0 });
        }
        found
    }
}

/// Those of which the bus says that they are final by now.
async fn finals(api: &Api, waiting: &HashMap<Uuid, String>) -> Vec<Uuid> {
    let asked = stream::iter(waiting.keys()).map(async |id| {
        let progress = api.try_status(*id).await;
        progress.is_ok_and(|progress| progress.state == ProgressState::Final).then_some(*id)
    });
    asked.buffer_unordered(AT_ONCE).filter_map(async |id| id).collect().await
}

impl Front {
    fn new(place: String, address: SocketAddr, cache: Cache) -> Self {
        Self { place, address, reader: Reader::at(address), _cache: cache }
    }
}

impl Verdict {
    /// With what was found elsewhere.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            checked: self.checked + other.checked,
            lost: self.lost + other.lost,
            stale: self.stale + other.stale,
            unfinished: self.unfinished + other.unfinished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_nobody_purges_is_lost_and_stale_once_it_was_called_final() {
        let pages = Pages::start().await.expect("a cache");
        let paths = ["/a", "/b"].map(str::to_owned);
        pages.age(&paths).await.expect("cached");
        pages.desk.finished("/a", CHANGED);
        let found = pages.judge(&paths).await;
        assert_eq!(found, Verdict { checked: 2, lost: 2, stale: 1, unfinished: 0 });
    }
}
