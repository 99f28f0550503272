//! `world`: edges in five continents, each as far from the broker as its region is in truth, and what the bus adds to the
//! way there.

mod applied;
mod bench;
mod edges;
mod map;

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::measure::{Latencies, ratio};
use crate::terms::Terms;
use bench::{Bench, CutOff, Seen};
use map::{HOME, Region, deal, farthest};

/// Length of a part.
const EACH: Duration = Duration::from_secs(20);
/// The baseline and ours, on a way that loses nothing and on one that does.
const PARTS: u32 = 4;
/// It warms up for so long, and that does not count.
const WARM_UP: Duration = Duration::from_secs(2);
/// What the bus may add to the way, and how long it may take in all.
const EXCESS_MAX: Duration = Duration::from_millis(50);
const WHOLE_MAX: Duration = Duration::from_millis(150);

/// Latency at edges all over the world.
#[derive(Debug, Args)]
pub(crate) struct World {
    /// Edges, dealt to ten regions
    #[arg(long, default_value_t = 59, value_parser = clap::value_parser!(u32).range(1..=500))]
    edges: u32,
    /// Invalidations a second, of one URL each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// A packet takes so many milliseconds longer than its way at most
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    jitter: u64,
    /// Packets lost of each million, in the parts with losses
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    loss: u32,
    /// In the end the farthest region is cut off for so many seconds
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    cut_off: Option<u64>,
}

impl World {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let (each, edges) = (terms.each(PARTS, EACH), usize::try_from(self.edges)?);
        let (jitter, warm_up) = (Duration::from_millis(self.jitter), terms.pause(WARM_UP));
        let mut bench = Bench::start(edges, self.rate, jitter, warm_up).await?;
        let raw = bench.raw(each).await?;
        let ours = bench.ours(each).await?;
        bench.lose(f64::from(self.loss) / 1e6);
        let (raw_lossy, ours_lossy) = (bench.raw(each).await?, bench.ours(each).await?);
        bench.lose(0.0);
        let far = farthest(edges);
        let cut_off = match self.cut_off {
            Some(seconds) => Some(bench.cut_off(far, Duration::from_secs(seconds)).await?),
            None => None,
        };
        let (lost, found) = (bench.lost + bench.found.lost, bench.found);
        bench.end().await?;

        let p99 = |seen: &[Seen]| anyhow::Ok(Seen::of_region(seen, far)?.percentiles().p99_us);
        let (p99_ours, p99_raw) = (p99(&ours)?, p99(&raw)?);
        let mut baseline = figures(&raw, edges)?;
        baseline["one_way_ms"] = json!(milliseconds(far.one_way()));
        let mut document = json!({
            "scenario": "world",
            "broker": "nats",
            "ours": figures(&ours, edges)?,
            "baseline": baseline,
            "ratio": ratio(p99_ours, u64::try_from(far.one_way().as_micros())?),
            "ratio_raw": ratio(p99_ours, p99_raw),
            "within": within(&ours, edges)?,
            "with_losses": {
                "lost_of_a_million": self.loss,
                "ours": figures(&ours_lossy, edges)?,
                "baseline": figures(&raw_lossy, edges)?,
            },
            "lost": lost,
            "stale_after_final": found.stale,
            "never_final": found.unfinished,
            "pages_checked": found.checked,
            "notes": notes(far),
        });
        if let Some(cut_off) = cut_off {
            document["cut_off"] = self.cut_off_figures(far, &cut_off, &ours)?;
        }
        Ok(document)
    }

    fn cut_off_figures(
        &self,
        region: &Region,
        cut_off: &CutOff,
        before: &[Seen],
    ) -> anyhow::Result<Value> {
        let others = |seen: &[Seen]| {
            let others = seen.iter().filter(|seen| seen.region.name != region.name);
            Latencies::of(others.flat_map(Seen::excess)).map(|all| all.percentiles().p99_us)
        };
        Ok(json!({
            "region": region.name,
            "seconds": self.cut_off,
            "others_excess_p99_us": others(&cut_off.others)?,
            "others_excess_p99_before_us": others(before)?,
            "caught_up_after_ms": milliseconds(cut_off.caught_up),
            "ready_after_ms": milliseconds(cut_off.ready),
            "flushed": cut_off.flushed,
        }))
    }
}

/// Everything by how much longer than the way it took, and each region for itself.
fn figures(seen: &[Seen], edges: usize) -> anyhow::Result<Value> {
    let excess = Latencies::of(seen.iter().flat_map(Seen::excess))?.percentiles();
    let mut regions = Map::new();
    for region in here(edges) {
        let there = Seen::of_region(seen, region)?.percentiles();
        let way = u64::try_from(region.one_way().as_micros())?;
        regions.insert(
            region.name.to_owned(),
            json!({
                "one_way_ms": milliseconds(region.one_way()),
                "p50_us": there.p50_us,
                "p99_us": there.p99_us,
                "excess_p99_us": there.p99_us.saturating_sub(way),
            }),
        );
    }
    Ok(json!({"excess": excess, "regions": regions}))
}

/// Whether it is as quick as it should be in all regions.
fn within(seen: &[Seen], edges: usize) -> anyhow::Result<Value> {
    let (mut excess, mut whole) = (Duration::ZERO, Duration::ZERO);
    for region in here(edges) {
        let p99 = Duration::from_micros(Seen::of_region(seen, region)?.percentiles().p99_us);
        excess = excess.max(p99.saturating_sub(region.one_way()));
        whole = whole.max(p99);
    }
    Ok(json!({
        "excess_p99_ms": milliseconds(excess),
        "p99_ms": milliseconds(whole),
        "one_way_and_50_ms": excess <= EXCESS_MAX,
        "150_ms": whole < WHOLE_MAX,
    }))
}

/// Each region that has an edge.
fn here(edges: usize) -> impl Iterator<Item = &'static Region> {
    deal(edges.min(map::REGIONS.len()))
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn notes(far: &Region) -> [String; 7] {
    [
        format!("publisher and NATS at home, {HOME}; each edge behind a proxy that delays by half the published round trip of its region, with jitter, and in order, as TCP does; connecting costs a round trip, too"),
        "ours: from when a request was meant to leave until the purge was done at the edge, by region; excess: the same less the way there; baseline: from publish to a bare subscriber of NATS itself behind the same distance, one for each edge".to_owned(),
        format!("ratio: p99 of ours in {}, the farthest, to the bare way there; ratio_raw: to p99 of the bare subscribers there", far.name),
        "within: the worst region's p99 less its way, and the worst p99; whether those are at most 50 ms and below 150 ms".to_owned(),
        "with_losses: a packet that is lost comes a round trip and 200 ms later, and everything behind it on its connection with it: where losses times packets a second times that exceeds 1 in 100, it is what p99 shows, of ours and of the baseline alike".to_owned(),
        "lost: pages that an edge was not told to purge, as the edges have noted, and pages that a real edge cache, one in each region, serves old when all is final".to_owned(),
        "agents run in one process, before edge caches of the product in one edge of each region, before caches that do nothing in the others; each has a connection, a name and a state of its own; nothing is signed".to_owned(),
    ]
}
