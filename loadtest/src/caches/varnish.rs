//! Varnish, one layer or two: with a plain VCL one URL a request, with our VCL many keys.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use agent::OpenDriver;
use agent::driver::varnish::{Varnish as VarnishDriver, VarnishConfig};
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::record::{self, HOST, Named};
use tests::serve::Settings;
use tests::servers::origin::{Origin, Page, VERSION};
use tests::servers::varnish::{Varnish, shipped_vcl};

use super::{FRAMED, Options, pipe};
use crate::pages::PLAIN_VCL;

/// What the layers are called, from the origin outwards.
pub(super) const LAYERS: [&str; 2] = ["inner", "outer"];
/// Of each frame one page is in the cache before a round, and asked for after it: no whole batch can be lost unseen.
const PAGE_EVERY: u64 = FRAMED;
/// Those lie at another place of each frame.
const STEP: u64 = 37;
/// What every good answer begins with.
const GOOD: &str = "HTTP/1.1 200 ";

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// URLs, with a plain VCL.
    Urls,
    /// Tags, with our VCL.
    Keys,
}

/// Varnish and its origin.
pub(super) struct Stage {
    kind: Kind,
    count: u64,
    origin: Origin,
    /// From the origin outwards.
    layers: Vec<Varnish>,
    /// What a baseline writes on each of its connections to a layer, and how many requests these are in all.
    raw: (Vec<Vec<u8>>, u64),
}

impl Kind {
    pub(super) fn scenario(self) -> &'static str {
        match self {
            Self::Urls => "varnish-urls",
            Self::Keys => "varnish-keys",
        }
    }

    /// What each number names.
    pub(super) fn named(self) -> Named {
        match self {
            Self::Urls => record::page,
            Self::Keys => record::tag,
        }
    }
}

impl Stage {
    pub(super) async fn start(
        kind: Kind,
        options: &Options,
        layers: u8,
        connections: u8,
    ) -> anyhow::Result<Self> {
        let origin = Origin::start().await;
        // The driver's own object must be one that can be stored.
        origin.publish_others(Page::default());
        let vcl = match kind {
            Kind::Urls => PLAIN_VCL.to_owned(),
            Kind::Keys => format!("include \"{}\";\n", fs::canonicalize(shipped_vcl())?.display()),
        };
        let mut all: Vec<Varnish> = Vec::new();
        for _ in 0..layers {
            let behind = all.last().map_or(origin.address(), Varnish::address);
            all.push(Varnish::start(behind, &vcl).await);
        }
        let each = if kind == Kind::Keys { options.batch } else { 1 };
        let raw = raw_requests(kind, options.count, each, usize::from(connections))?;
        Ok(Self { kind, count: options.count, origin, layers: all, raw })
    }

    /// Stores pages in every layer, and makes them out of date.
    pub(super) async fn fill(&self) -> anyhow::Result<()> {
        self.publish();
        self.read().await?;
        self.publish();
        let fresh = self.read().await?;
        ensure!(fresh == 0, "{fresh} of {} pages are not cached", self.pages().count());
        Ok(())
    }

    /// So many pages are out of date for whoever asks the outermost layer.
    pub(super) async fn stale(&self) -> anyhow::Result<u64> {
        Ok(self.pages().count() as u64 - self.read().await?)
    }

    /// All layers at once.
    pub(super) async fn raw(&self) -> anyhow::Result<()> {
        let (parts, requests) = &self.raw;
        let purged = self.layers.iter().map(|varnish| {
            let address = varnish.address();
            pipe::on_each(address, parts, GOOD, *requests)
        });
        try_join_all(purged).await.map(drop)
    }

    /// For a lane in this process, of the one layer.
    pub(super) fn open(&self) -> anyhow::Result<OpenDriver> {
        let url = format!("http://{}", self.outermost()?.address());
        let config: VarnishConfig = serde_json::from_value(json!({"url": url, "timeout": "10s"}))?;
        Ok(Arc::new(move |surroundings| Arc::new(VarnishDriver::new(&config, surroundings))))
    }

    /// For an agent process: each layer a cache, each after the one that lies behind it.
    pub(super) fn settings(&self, batch: u64) -> Settings {
        let layers = self.layers.iter().zip(LAYERS).enumerate();
        layers.fold(Settings::default(), |settings, (at, (varnish, name))| {
            let after = at.checked_sub(1).and_then(|behind| LAYERS.get(behind));
            let after = after.map_or(String::new(), |behind| format!("after = \"{behind}\"\n"));
            let more = format!(
                "{after}rebounds = []\nstarts_empty = true\nbatch = {{ selectors = {batch} }}"
            );
            settings.varnish_named(name, varnish.address(), &more)
        })
    }

    pub(super) fn notes(&self) -> Vec<&'static str> {
        let baseline = match self.kind {
            Kind::Urls => {
                "baseline: one PURGE for each URL, all written at once on each of its connections, to all layers at the same time"
            }
            Kind::Keys => {
                "baseline: PURGE with as many keys as a batch of ours has, all written at once on each of its connections, to all layers at the same time"
            }
        };
        vec![
            baseline,
            "stale: of one page of every 100, which were in every layer before each round, those that were served old afterwards",
        ]
    }

    fn outermost(&self) -> anyhow::Result<&Varnish> {
        self.layers.last().context("there is no layer")
    }

    /// The numbers whose pages are in the cache.
    fn pages(&self) -> impl Iterator<Item = u64> {
        let count = self.count;
        let pages = (0..count / PAGE_EVERY).map(|at| 1 + at * PAGE_EVERY + at * STEP % PAGE_EVERY);
        pages.filter(move |number| *number <= count)
    }

    fn publish(&self) {
        for number in self.pages() {
            // Our VCL leaves this header to the next layer.
            let headers = vec![("cache-tag", format!("n{number}"))];
            let page = Page { headers, ..Page::default() };
            self.origin.publish(&format!("{HOST}/page/{number}"), page);
        }
    }

    /// Asks for the pages; answers how many come in their latest version.
    async fn read(&self) -> anyhow::Result<u64> {
        let mut requests = String::new();
        for number in self.pages() {
            write!(requests, "GET /page/{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")?;
        }
        close(&mut requests, HOST)?;
        let first = self.pages().next().context("no page is asked for")?;
        let latest = self.origin.version(&format!("{HOST}/page/{first}"));
        let fresh = format!("{VERSION}: {latest}\r\n");
        let (words, outermost) = ([GOOD, fresh.as_str()], self.outermost()?.address());
        let [good, fresh] = pipe::count(outermost, requests.as_bytes(), words).await?;
        let pages = self.pages().count() as u64;
        ensure!(good > pages, "{good} of {pages} pages were answered");
        Ok(fresh)
    }
}

/// One more request, after which the server closes the connection.
fn close(requests: &mut String, host: &str) -> anyhow::Result<()> {
    write!(requests, "GET /end HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// Requests that purge the numbers 1 to `count`, `each` at a time, dealt out to the connections.
fn raw_requests(
    kind: Kind,
    count: u64,
    each: u64,
    connections: usize,
) -> anyhow::Result<(Vec<Vec<u8>>, u64)> {
    let mut parts = vec![String::new(); connections];
    let mut requests = 0;
    for (connection, first) in
        (0..connections).cycle().zip((1..=count).step_by(usize::try_from(each)?))
    {
        let part = &mut parts[connection];
        if kind == Kind::Keys {
            let keys =
                (first..=count.min(first + each - 1)).map(|number| format!("t:{HOST}/n{number}"));
            let keys = keys.collect::<Vec<_>>().join(" ");
            write!(part, "PURGE / HTTP/1.1\r\nHost: {HOST}\r\nX-Purgebus-Hard: {keys}\r\n\r\n")?;
        } else {
            write!(part, "PURGE /page/{first} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")?;
        }
        requests += 1;
    }
    for part in &mut parts {
        close(part, HOST)?;
        requests += 1;
    }
    Ok((parts.into_iter().map(String::into_bytes).collect(), requests))
}
