//! A publisher and a broker at home, edges everywhere, and what is published for them.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tests::bus::{Bus, Wire};
use tests::serve::Api;
use tests::servers::nats::Nats;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::applied::{Applied, Part};
use super::edges::{Edges, SUBJECT, Site};
use super::map::{REGIONS, Region};
use crate::beat::Beat;
use crate::http::{Clients, Request};
use crate::measure::Latencies;
use crate::pages::{Pages, Verdict};
use crate::regions::known;

/// Clients of the publisher, each with one request under way.
const CLIENTS: usize = 64;
/// Pages of each part that real caches hold.
const CHECKED: u64 = 100;
/// About as large as a signed invalidation of one URL on the log.
const RAW_BYTES: usize = 300;
/// Longest time from the last page of a part until it is everywhere.
const COMES_WITHIN: Duration = Duration::from_mins(1);
/// Longest time until a region that was cut off has everything.
const BACK_WITHIN: Duration = Duration::from_mins(15);

/// It runs, and is dead when dropped.
pub(super) struct Bench {
    edges: Edges,
    pages: Pages,
    bus: Bus,
    raw: async_nats::Client,
    rate: u64,
    next: u64,
    /// Pages that never came to an edge, of all edges together.
    pub(super) lost: u64,
    /// What real caches serve.
    pub(super) found: Verdict,
    _nats: Nats,
}

/// All that is ready before a part begins.
struct Prepared {
    first: u64,
    aged: Vec<u64>,
    clients: Clients,
}

/// How a part went at one edge.
pub(super) struct Seen {
    pub(super) region: &'static Region,
    pub(super) latencies: Vec<Duration>,
}

/// How a region fared that was cut off.
pub(super) struct CutOff {
    pub(super) others: Vec<Seen>,
    /// From the first packet until it had all.
    pub(super) caught_up: Duration,
    /// From the first packet until the publisher called it ready.
    pub(super) ready: Duration,
    /// Caches that were emptied.
    pub(super) flushed: usize,
}

impl Bench {
    /// So many edges, of which the publisher knows all, warmed up for so long.
    pub(super) async fn start(
        count: usize,
        rate: u64,
        jitter: Duration,
        warm_up: Duration,
    ) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let mut bus = Bus::on(Wire::nats([nats.url()])).unsigned();
        bus.start_publisher("publisher-1", "").await;
        bus.registered().await;
        let pages = Pages::start_edges(count.min(REGIONS.len())).await;
        let (home, prefix) = (nats.address(), bus.wire.prefix());
        let edges = Edges::start(count, home, prefix, jitter, &pages.caches()).await?;
        let raw = timeout(COMES_WITHIN, async_nats::connect(nats.url())).await??;
        let found = Verdict::default();
        let mut bench = Self { edges, pages, bus, raw, rate, next: 0, lost: 0, found, _nats: nats };
        known(bench.api(), u32::try_from(count)?).await?;
        bench.raw(warm_up).await?;
        bench.ours(warm_up).await?;
        Ok(bench)
    }

    fn api(&self) -> &Api {
        self.bus.publishers[0].api()
    }

    /// From now on so large a part of all packets is lost.
    pub(super) fn lose(&self, loss: f64) {
        self.edges.lose(loss);
    }

    /// Messages of the broker's own client, each at its time.
    pub(super) async fn raw(&mut self, time: Duration) -> anyhow::Result<Vec<Seen>> {
        let part = Part { first: self.take(time), beat: Beat::new(self.rate, time) };
        while let Some((number, _)) = part.beat.next().await {
            let mut message = BytesMut::with_capacity(RAW_BYTES);
            message.put_u64(part.first + number);
            message.resize(RAW_BYTES, 0);
            self.raw.publish(SUBJECT, message.freeze()).await?;
        }
        self.edges.come(&part, COMES_WITHIN, |site| Some(&site.heard)).await;
        Ok(self.see(&part, |_| true, |site| &site.heard).0)
    }

    /// Invalidations through the publisher, each at its time.
    pub(super) async fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<Seen>> {
        let prepared = self.prepare(time).await?;
        let (part, published) = self.publish(prepared, time).await?;
        self.edges.come(&part, COMES_WITHIN, |site| Some(&site.purged)).await;
        let (seen, lost) = self.see(&part, |_| true, |site| &site.purged);
        self.lost += lost;
        self.look_through(published).await;
        Ok(seen)
    }

    /// The same while a region is cut off, which comes back after that.
    pub(super) async fn cut_off(
        &mut self,
        region: &'static Region,
        time: Duration,
    ) -> anyhow::Result<CutOff> {
        let prepared = self.prepare(time).await?;
        let connected = |site: &Site| site.region.name != region.name;
        let flushes =
            |edges: &Edges| edges.all.iter().map(|site| site.purged.flushes()).sum::<usize>();
        let before = flushes(&self.edges);
        self.edges.cut_off(region);
        let (part, published) = self.publish(prepared, time).await?;
        let edges = &self.edges;
        edges.come(&part, COMES_WITHIN, |site| connected(site).then_some(&site.purged)).await;
        let (others, _) = self.see(&part, connected, |site| &site.purged);
        self.edges.connect_again(region);
        let back = Instant::now();
        self.edges.come(&part, BACK_WITHIN, |site| Some(&site.purged)).await;
        let caught_up = back.elapsed();
        known(self.api(), u32::try_from(self.edges.all.len())?).await?;
        let ready = back.elapsed();
        self.lost += self.see(&part, |_| true, |site| &site.purged).1;
        self.look_through(published).await;
        Ok(CutOff { others, caught_up, ready, flushed: flushes(&self.edges) - before })
    }

    /// All leave.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.edges.end().await
    }

    /// The number of the first of as many pages as fall into that time, which nobody has yet.
    fn take(&mut self, time: Duration) -> u64 {
        let first = self.next;
        self.next += Beat::new(self.rate, time).count();
        first
    }

    /// Real caches hold some of the pages that will be purged, in an old version.
    async fn prepare(&mut self, time: Duration) -> anyhow::Result<Prepared> {
        let first = self.take(time);
        let step = usize::try_from(((self.next - first) / CHECKED).max(1))?;
        let aged: Vec<_> = (first..self.next).step_by(step).collect();
        let paths: Vec<_> = aged.iter().copied().map(path).collect();
        self.pages.age(&paths).await?;
        let clients = Clients::connect(self.api().address(), CLIENTS).await?;
        Ok(Prepared { first, aged, clients })
    }

    /// Publishes each page at its time, from now on; answers the ids of those that real caches hold.
    async fn publish(
        &self,
        Prepared { first, aged, clients }: Prepared,
        time: Duration,
    ) -> anyhow::Result<(Part, Vec<(Uuid, String)>)> {
        let part = Part { first, beat: Beat::new(self.rate, time) };
        let request = |number| Request::of_pages([path(first + number)].into_iter());
        let sent = clients.keep_time(&part.beat, request).await?;
        let held = sent.iter().filter(|sent| aged.binary_search(&(first + sent.number)).is_ok());
        let held = held.map(|sent| (sent.id, path(first + sent.number))).collect();
        Ok((part, held))
    }

    /// How it went at each of these edges, and what never came to them.
    fn see(
        &self,
        part: &Part,
        is_one: impl Fn(&Site) -> bool,
        of: impl Fn(&Site) -> &Applied,
    ) -> (Vec<Seen>, u64) {
        let (mut all, mut lost) = (Vec::new(), 0);
        for site in self.edges.all.iter().filter(|site| is_one(site)) {
            let came = of(site).latencies(part);
            let latencies: Vec<_> = came.iter().copied().flatten().collect();
            lost += (came.len() - latencies.len()) as u64;
            all.push(Seen { region: site.region, latencies });
        }
        (all, lost)
    }

    async fn look_through(&mut self, published: Vec<(Uuid, String)>) {
        let found = self.pages.look_through(self.api(), published).await;
        self.found = self.found.and(found);
    }
}

impl Seen {
    /// All that was seen, by how much longer it took than the way.
    pub(super) fn excess(&self) -> impl Iterator<Item = Duration> {
        self.latencies.iter().map(|latency| latency.saturating_sub(self.region.one_way()))
    }

    /// What was seen in a region.
    pub(super) fn of_region(all: &[Self], region: &Region) -> anyhow::Result<Latencies> {
        let there = all.iter().filter(|seen| seen.region.name == region.name);
        Latencies::of(there.flat_map(|seen| seen.latencies.iter().copied()))
    }
}

fn path(page: u64) -> String {
    format!("/page/{page}")
}
