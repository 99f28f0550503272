//! Edges all over the world, in this process: agents, each before a cache and behind its distance from the broker, and
//! beside each a bare subscriber of the broker behind the same distance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::edge::{Edge, EdgeConfig};
use agent::driver::{Driver, Endpoint};
use agent::{Agent, OpenDriver};
use anyhow::{Context as _, ensure};
use async_nats::{Client, Subscriber};
use broker_adapter::NatsConfig;
use daemon::{CrewError, Stop};
use futures::StreamExt as _;
use futures::future::try_join_all;
use tempfile::TempDir;
use tests::servers::distance::{Distance, Way};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::applied::{Applied, Part};
use super::map::{self, Region};
use crate::edge::one_of_many;
use crate::noop::NoOp;
use crate::noted::noted;

/// Longest time for one purge of a cache in this process.
const PURGED_WITHIN: Duration = Duration::from_secs(10);
/// Longest time for all of them to leave.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is looked whether everything is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What the bare subscribers are sent.
pub(super) const SUBJECT: &str = "world.raw";

/// All edges.
pub(super) struct Edges {
    pub(super) all: Vec<Site>,
    agents: JoinSet<Result<(), CrewError>>,
    subscribers: JoinSet<()>,
    stop: Stop,
    _state: TempDir,
}

/// One of them.
pub(super) struct Site {
    /// Where it is.
    pub(super) region: &'static Region,
    /// What its cache was told to purge.
    pub(super) purged: Applied,
    /// What its bare subscriber has heard.
    pub(super) heard: Applied,
    distance: Distance,
}

impl Edges {
    /// So many, behind a way to the broker that shakes so much; the first ones each before one of these caches, the
    /// others before a cache that does nothing.
    pub(super) async fn start(
        count: usize,
        broker: SocketAddr,
        prefix: &str,
        jitter: Duration,
        caches: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let (state, stop) = (TempDir::new()?, Stop::new());
        let (mut agents, mut all) = (JoinSet::new(), Vec::new());
        for (at, region) in map::deal(count).enumerate() {
            let way = Way { one_way: region.one_way(), jitter, loss: 0.0 };
            let distance = Distance::start(broker, way).await;
            let (purged, heard) = (Applied::default(), Applied::default());
            let (urls, prefix) = (vec![url_of(&distance)], prefix.to_owned());
            let config = NatsConfig { urls, prefix, ..NatsConfig::default() };
            let open = timed(caches.get(at).copied(), purged.clone())?;
            let mut setup = one_of_many(at, state.path(), &config, open)?;
            setup.config.region = region.name.parse()?;
            agents.spawn(Agent::open(setup)?.run(stop.clone()));
            all.push(Site { region, purged, heard, distance });
        }
        let mut subscribers = JoinSet::new();
        for (subscribed, site) in
            try_join_all(all.iter().map(subscribe)).await?.into_iter().zip(&all)
        {
            subscribers.spawn(listen(subscribed, site.heard.clone()));
        }
        Ok(Self { all, agents, subscribers, stop, _state: state })
    }

    /// From now on so large a part of all packets is lost.
    pub(super) fn lose(&self, loss: f64) {
        self.all.iter().for_each(|site| site.distance.lose(loss));
    }

    /// Nothing comes to a region or from it any more.
    pub(super) fn cut_off(&self, region: &Region) {
        self.in_region(region).for_each(|site| site.distance.cut_off());
    }

    /// Everything comes again.
    pub(super) fn connect_again(&self, region: &Region) {
        self.in_region(region).for_each(|site| site.distance.connect_again());
    }

    fn in_region(&self, region: &Region) -> impl Iterator<Item = &Site> {
        self.all.iter().filter(move |site| site.region.name == region.name)
    }

    /// Waits until everything is where it is asked for, or for so long.
    pub(super) async fn come(
        &self,
        part: &Part,
        within: Duration,
        of: impl Fn(&Site) -> Option<&Applied>,
    ) {
        let deadline = Instant::now() + within;
        for applied in self.all.iter().filter_map(of) {
            while !applied.has_all(part) && Instant::now() < deadline {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// All leave.
    ///
    /// # Errors
    /// When one has failed, or does not leave in time.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        ensure!(!self.subscribers.is_empty(), "nobody subscribed");
        self.stop.request();
        let leaving = async {
            while let Some(left) = self.agents.join_next().await {
                left??;
            }
            anyhow::Ok(())
        };
        timeout(GRACE, leaving).await.context("agents do not leave")?
    }
}

/// Opens the driver of a real edge, or of a cache that does nothing.
fn timed(cache: Option<SocketAddr>, purged: Applied) -> anyhow::Result<OpenDriver> {
    let config = match cache {
        Some(at) => {
            let url = Endpoint::try_from(format!("http://{at}"))?;
            Some(EdgeConfig { url, timeout: PURGED_WITHIN })
        }
        None => None,
    };
    Ok(Arc::new(move |surroundings| {
        let cache: Arc<dyn Driver> = match &config {
            Some(config) => Arc::new(Edge::new(config, surroundings)),
            None => Arc::new(NoOp),
        };
        let purged = purged.clone();
        noted(cache, move |batch| purged.note_all(batch))
    }))
}

fn url_of(distance: &Distance) -> String {
    format!("nats://{}", distance.address())
}

/// The broker's own client, which has subscribed when this returns.
async fn subscribe(site: &Site) -> anyhow::Result<(Client, Subscriber)> {
    let client = timeout(GRACE, async_nats::connect(url_of(&site.distance))).await??;
    let messages = client.subscribe(SUBJECT).await?;
    timeout(GRACE, client.flush()).await??;
    Ok((client, messages))
}

/// Notes what comes, connected for as long.
async fn listen((_client, mut messages): (Client, Subscriber), heard: Applied) {
    while let Some(message) = messages.next().await {
        if let Some((number, _)) = message.payload.split_first_chunk() {
            heard.note(u64::from_be_bytes(*number));
        }
    }
}
