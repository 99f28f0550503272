//! `slow-neighbour`: what a cache notices of another one of the same agent that takes requests and never answers.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use daemon::Clock;
use serde_json::{Value, json};
use tests::serve::{PAGES, Settings};
use tests::servers::proxy::Proxy;
use tests::servers::redis::Redis;
use tests::witness::Witness;
use tokio::time::{Instant, sleep};

use crate::beat::Beat;
use crate::http::{Clients, Request, Sent};
use crate::kept::key;
use crate::log::{Log, Way};
use crate::measure::{Interleaved, Latencies};
use crate::ours::Ours;
use crate::pages::{Pages, Verdict};
use crate::terms::Terms;

/// Length of a part of a round.
const EACH: Duration = Duration::from_secs(3);
/// Parts of a round: answering, hanging, answering.
const PARTS: u32 = 3;
/// Clients, each with one request under way.
const CLIENTS: usize = 16;
/// Both are purged once, and the one that hangs is given up soon.
const NEIGHBOUR: &str = "rebounds = []\ntimeout = \"500ms\"";
/// Longest time until the witness has seen every purge of a part.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Latency beside a cache that hangs.
#[derive(Debug, Args)]
pub(crate) struct SlowNeighbour {
    /// Where the log lies: `serve`, or publisher and agent apart
    #[arg(long, default_value = "embedded")]
    broker: Way,
    /// Rounds, each with a neighbour that answers, hangs, and answers again
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Invalidations a second, of one URL each
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
}

/// A Redis whose purges are timed, and a Varnish on a way that can be blocked, before one agent.
struct Bench {
    redis: Redis,
    witness: Witness,
    pages: Pages,
    way: Proxy,
    ours: Ours,
    rate: u64,
    next: u64,
    unseen: u64,
    found: Verdict,
    _log: Option<Log>,
}

impl SlowNeighbour {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let each = terms.each(self.rounds * PARTS, EACH);
        let mut bench = Bench::start(self.broker, self.rate).await?;
        // It warms up, and does not count.
        bench.part(terms.pause(EACH / 10), false).await?;
        let mut latencies = Interleaved::default();
        for _ in 0..self.rounds {
            latencies.before.push(bench.part(each, false).await?);
            latencies.disturbed.push(bench.part(each, true).await?);
            latencies.after.push(bench.part(each, false).await?);
        }
        let mut document = latencies.document()?;
        document["scenario"] = json!("slow-neighbour");
        document["broker"] = json!(self.broker.name());
        document["lost"] = json!(bench.unseen + bench.found.lost);
        document["stale_after_final"] = json!(bench.found.stale);
        document["never_final"] = json!(bench.found.unfinished);
        document["pages_checked"] = json!(bench.found.checked);
        document["notes"] = json!([
            "ours: from when a request was meant to leave until Redis says that it unlinks the page, while Varnish beside it takes requests and answers none; baseline: the same while Varnish answers, before and after",
            "difference_ms: of the medians of the rounds' percentiles; control_noise_ms: how far the two baselines of a round differ, in the middle and at most",
            "lost: pages that Redis was never told to unlink, as its MONITOR tells, and pages that Varnish serves old once it answers again and all is final",
        ]);
        Ok(document)
    }
}

impl Bench {
    async fn start(broker: Way, rate: u64) -> anyhow::Result<Self> {
        let (redis, pages) = (Redis::start().await, Pages::start().await?);
        let way = Proxy::start(pages.varnish()).await;
        let caches = Settings::default()
            .redis(redis.address(), PAGES, "rebounds = []")
            .varnish(way.address(), NEIGHBOUR);
        let log = broker.start().await;
        let ours = Ours::start(log.as_ref(), caches).await;
        let witness = Witness::of_redis(&redis).await;
        let found = Verdict::default();
        Ok(Self { redis, witness, pages, way, ours, rate, next: 0, unseen: 0, found, _log: log })
    }

    async fn part(&mut self, time: Duration, hangs: bool) -> anyhow::Result<Latencies> {
        let first = self.next;
        self.next += Beat::new(self.rate, time).count();
        let paths: Vec<_> = (first..self.next).map(path).collect();
        self.pages.age(&paths).await?;
        let clients = Clients::connect(self.ours.api().address(), CLIENTS).await?;
        if hangs {
            self.way.hold_answers();
        }
        let beat = Beat::new(self.rate, time);
        let (began, at) = (Clock::system().now(), Instant::now());
        let request = |number| Request::of_pages([path(first + number)].into_iter());
        let sent = clients.keep_time(&beat, request).await?;
        // Seconds since 1970, as Redis tells them.
        let due = |number| {
            let earlier = at.saturating_duration_since(beat.due(number)).as_secs_f64();
            let later = beat.due(number).saturating_duration_since(at).as_secs_f64();
            began.as_duration().as_secs_f64() + later - earlier
        };
        let latencies = self.seen(first, &sent, due).await?;
        self.way.pass_answers();
        let published = sent.iter().map(|sent| (sent.id, path(first + sent.number)));
        let found = self.pages.look_through(self.ours.api(), published).await;
        self.found = self.found.and(found);
        Ok(latencies)
    }

    /// When Redis saw each, from when it was due.
    async fn seen(
        &mut self,
        first: u64,
        sent: &[Sent],
        due: impl Fn(u64) -> f64,
    ) -> anyhow::Result<Latencies> {
        let seen = |sent: &Sent| self.witness.sightings(&key(first + sent.number)).first().copied();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && sent.iter().any(|sent| seen(sent).is_none()) {
            sleep(LOOK_EVERY).await;
        }
        self.witness.catch_up_with_redis(&self.redis).await;
        let late = |one: &Sent| Some(seen(one)? - due(one.number));
        let late: Vec<_> = sent.iter().filter_map(late).collect();
        self.unseen += (sent.len() - late.len()) as u64;
        ensure!(self.unseen < self.next, "Redis was told nothing");
        Latencies::of(late.into_iter().map(|late| Duration::from_secs_f64(late.max(0.0))))
    }
}

fn path(page: u64) -> String {
    format!("/page/{page}")
}
