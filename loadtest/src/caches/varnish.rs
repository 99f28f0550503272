//! Varnish: with a plain VCL one URL a request, with our VCL many keys.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use agent::OpenDriver;
use agent::driver::varnish::{Varnish as VarnishDriver, VarnishConfig};
use anyhow::ensure;
use serde_json::json;
use tests::servers::origin::{Origin, Page, VERSION};
use tests::servers::varnish::{Varnish, shipped_vcl};

use super::{Kind, Options, pipe};
use crate::pages::PLAIN_VCL;
use crate::record::HOST;

/// As many as a lane has batches under way.
const CONNECTIONS: u64 = 2;
/// Pages that are in the cache before a round, and asked for after it.
const PAGES: u64 = 500;
/// What every good answer begins with.
const GOOD: &str = "HTTP/1.1 200 ";

/// Varnish and its origin.
pub(super) struct Stage {
    kind: Kind,
    count: u64,
    origin: Origin,
    varnish: Varnish,
    /// What a baseline writes on each of its connections, and how many requests these are in all.
    raw: (Vec<Vec<u8>>, u64),
}

impl Stage {
    pub(super) async fn start(kind: Kind, options: &Options) -> anyhow::Result<Self> {
        let origin = Origin::start().await;
        // The driver's own object must be one that can be stored.
        origin.publish_others(Page::default());
        let vcl = match kind {
            Kind::Urls | Kind::Keys => PLAIN_VCL.to_owned(),
            Kind::Tags => format!("include \"{}\";\n", fs::canonicalize(shipped_vcl())?.display()),
        };
        let varnish = Varnish::start(origin.address(), &vcl).await;
        let each = if kind == Kind::Tags { options.batch } else { 1 };
        let raw = raw_requests(kind, options.count, each)?;
        Ok(Self { kind, count: options.count, origin, varnish, raw })
    }

    /// Stores pages, and makes them out of date.
    pub(super) async fn fill(&self) -> anyhow::Result<()> {
        self.publish();
        self.read().await?;
        self.publish();
        let fresh = self.read().await?;
        ensure!(fresh == 0, "{fresh} of {PAGES} pages are not cached");
        Ok(())
    }

    /// So many pages are out of date.
    pub(super) async fn stale(&self) -> anyhow::Result<u64> {
        Ok(PAGES - self.read().await?)
    }

    pub(super) async fn raw(&self) -> anyhow::Result<()> {
        let (parts, requests) = &self.raw;
        pipe::on_each(self.varnish.address(), parts, GOOD, *requests).await
    }

    pub(super) fn open(&self) -> anyhow::Result<OpenDriver> {
        let url = format!("http://{}", self.varnish.address());
        let config: VarnishConfig = serde_json::from_value(json!({"url": url, "timeout": "10s"}))?;
        Ok(Arc::new(move |surroundings| Arc::new(VarnishDriver::new(&config, surroundings))))
    }

    pub(super) fn notes(&self) -> [&'static str; 2] {
        let baseline = match self.kind {
            Kind::Urls | Kind::Keys => {
                "baseline: one PURGE for each URL, all written at once on two connections, as many as the lane has"
            }
            Kind::Tags => {
                "baseline: PURGE with as many keys as a batch of ours has, all written at once on two connections, as many as the lane has"
            }
        };
        [
            baseline,
            "stale: of 500 pages in the cache before each round those that it served afterwards",
        ]
    }

    /// The numbers whose pages are in the cache: some of everywhere.
    fn pages(&self) -> impl Iterator<Item = u64> {
        let step = self.count / PAGES;
        (0..PAGES).map(move |at| 1 + at * step)
    }

    fn publish(&self) {
        for number in self.pages() {
            let page = Page { tags: vec![format!("n{number}")], ..Page::default() };
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
        let latest = self.origin.version(&format!("{HOST}/page/1"));
        let fresh = format!("{VERSION}: {latest}\r\n");
        let words = [GOOD, fresh.as_str()];
        let [good, fresh] = pipe::count(self.varnish.address(), requests.as_bytes(), words).await?;
        ensure!(good > PAGES, "{good} of {PAGES} pages were answered");
        Ok(fresh)
    }
}

/// One more request, after which the server closes the connection.
fn close(requests: &mut String, host: &str) -> anyhow::Result<()> {
    write!(requests, "GET /end HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// Requests that purge the numbers 1 to `count`, `each` at a time, dealt out to the connections.
fn raw_requests(kind: Kind, count: u64, each: u64) -> anyhow::Result<(Vec<Vec<u8>>, u64)> {
    let mut parts = vec![String::new(); usize::try_from(CONNECTIONS)?];
    let mut requests = 0;
    let connections = (0..parts.len()).cycle();
    for (connection, first) in connections.zip((1..=count).step_by(usize::try_from(each)?)) {
        let part = &mut parts[connection];
        if kind == Kind::Tags {
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
