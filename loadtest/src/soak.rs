//! `soak`: people edit and read at real caches while agents and publishers are killed and come back: nothing is lost,
//! and neither memory nor disk grows.

use std::fs::Metadata;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use fastrand::Rng;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::bus::{Bus, QUICK, Wire};
use tests::servers::nats::Nats;
use tests::shop::Desk;
use tests::town::{Pace, Place, Rest, Stock, Town};
use tokio::time::{Instant, sleep};
use walkdir::WalkDir;

use crate::beat::Beat;
use crate::http::{Clients, Request};
use crate::measure::ratio;
use crate::regions::caught_up;
use crate::terms::Terms;
use crate::usage::{Cpu, resident};

/// Length of the run.
const USUALLY: Duration = Duration::from_mins(10);
/// Who looks after what.
const MAP: [(&str, &str, Stock); 2] =
    [("eu-west", "edge-1", Stock::VarnishAfterRedis), ("us-east", "edge-2", Stock::Varnish)];
const PUBLISHERS: usize = 2;
/// What is kept of it on disk leaves within minutes.
const LOG: &str = "retention_bytes = \"8MiB\"";
const JOURNAL: &str = "journal_bytes = \"8MiB\"\n";
/// Pages that fill it, a second at each publisher, and clients that publish them.
const FILL_RATE: u64 = 4_000;
const FILL_CLIENTS: usize = 64;
const PACE: Pace = Pace {
    pages: 300,
    edit_twice_every: Duration::from_millis(100),
    readers: 2,
    read_every: Duration::from_millis(20),
    final_not_before: Duration::from_secs(1),
};

/// Hours of mixed load with restarts.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Seconds between two restarts, of an agent or of a publisher in turn
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    restart_every: u64,
    /// Seconds for which whoever was killed stays dead
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    dead_for: u64,
    /// After each of so many parts everything comes to rest, is judged, and memory and disk are read
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    parts: u32,
    /// Pages published before the first part, at each publisher: whatever keeps no more than so many is full then
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    fill: u64,
}

/// The bus, and the town around it.
struct Bench {
    nats: Nats,
    bus: Bus,
    town: Town,
    restarts: usize,
}

/// What is there when all is quiet.
struct Cost {
    memory: u64,
    disk: u64,
}

impl Soak {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let (mut bench, mut costs) = (Bench::start().await, Vec::new());
        bench.fill(self.fill).await?;
        let (each, before) = (terms.each(self.parts, USUALLY / self.parts), Cpu::now()?);
        let (mut lost, mut rest) = (Vec::new(), None);
        for _ in 0..self.parts {
            let found = self.part(&mut bench, each).await;
            lost.extend(found.lost.clone());
            rest = Some(found);
            costs.push(bench.cost()?);
        }
        let (rest, cpu) = (rest.expect("there are parts"), Cpu::now()?.since(&before));
        let (early, late) = (&costs[0], &costs[costs.len() - 1]);
        let by_part = |of: fn(&Cost) -> u64| costs.iter().map(of).collect::<Vec<_>>();
        Ok(json!({
            "scenario": "soak",
            "broker": "nats",
            "ours": {
                "resident_bytes": late.memory,
                "disk_bytes": late.disk,
                "resident_bytes_by_round": by_part(|cost| cost.memory),
                "disk_bytes_by_round": by_part(|cost| cost.disk),
                "cpu_us_each": cpu.microseconds_each(rest.edits.len() as u64),
            },
            "baseline": {"resident_bytes": early.memory, "disk_bytes": early.disk},
            "ratio": ratio(late.memory, early.memory),
            "ratio_disk": ratio(late.disk, early.disk),
            "accepted": rest.edits.len(),
            "in_journal_only": rest.journalled(),
            "restarts": bench.restarts,
            "reads": rest.all_reads().checked,
            "late": rest.all_reads().late,
            "unknown": rest.unknown.len(),
            "lost": lost.len() + rest.unknown.len(),
            "stale_after_final": rest.all_reads().stale,
            "notes": [
                "journals and the log keep 8 MiB each, and are full before the first part",
                "two publishers and two agents on one NATS, Varnish and Redis filled from an application; editors and readers all the time, and each second restart is that of an agent, after SIGKILL",
                "ours: resident memory of all four processes, and journals, states and the store of NATS on disk, when all has come to rest after the last part; baseline: after the first",
                "lost: pages that a cache serves old when everything is final, at the end of any part, and accepted ids that their publisher does not know",
                "stale_after_final: reads of any reader that began after final and gave an old page, as the oracle judges",
            ],
        }))
    }

    async fn part(&self, bench: &mut Bench, time: Duration) -> Rest {
        bench.town.open(bench.bus.apis());
        let until = Instant::now() + time;
        let (every, dead) =
            (Duration::from_secs(self.restart_every), Duration::from_secs(self.dead_for));
        // However short it is, somebody is killed.
        loop {
            sleep(every.min(until.saturating_duration_since(Instant::now()))).await;
            bench.kill_next(dead).await;
            if Instant::now() >= until {
                return bench.town.come_to_rest().await;
            }
        }
    }
}

impl Bench {
    async fn start() -> Self {
        let (nats, desk, mut rng) = (Nats::start().await, Desk::open(), Rng::new());
        let mut places = Vec::new();
        for (region, agent, stock) in MAP {
            places.push(Place::open(format!("{region}/{agent}"), stock, &desk, rng.fork()).await);
        }
        let town = Town::found(desk, places, PACE, rng).await;
        let mut bus = Bus::on(Wire::nats([nats.url()]).with(LOG));
        for at in 1..=PUBLISHERS {
            bus.start_publisher(&format!("publisher-{at}"), JOURNAL).await;
        }
        for ((region, agent, _), place) in MAP.into_iter().zip(&town.places) {
            bus.start_agent(agent, region, place.settings(QUICK)).await;
        }
        bus.registered().await;
        Self { nats, bus, town, restarts: 0 }
    }

    /// So many pages that no cache holds, at each publisher, until every cache was told to purge them.
    async fn fill(&self, count: u64) -> anyhow::Result<()> {
        let time = Duration::from_secs(count) / u32::try_from(FILL_RATE)?;
        let filling = self.bus.publishers.iter().map(async |publisher| {
            let clients = Clients::connect(publisher.api().address(), FILL_CLIENTS).await?;
            let request = |number| Request::of_pages([format!("/fill/{number}")].into_iter());
            clients.keep_time(&Beat::new(FILL_RATE, time), request).await
        });
        try_join_all(filling).await?;
        caught_up(self.bus.publishers[0].api()).await
    }

    /// Somebody is killed, and comes back: an agent, a publisher, the other agent, the other publisher.
    async fn kill_next(&mut self, dead: Duration) {
        let (turn, at) = (self.restarts % 2, self.restarts / 2);
        self.restarts += 1;
        if turn == 0 {
            let agent = &mut self.bus.agents[at % MAP.len()];
            agent.kill();
            sleep(dead).await;
            agent.restart().await;
        } else {
            let publisher = &mut self.bus.publishers[at % PUBLISHERS];
            publisher.kill();
            sleep(dead).await;
            publisher.restart().await;
        }
    }

    fn cost(&self) -> anyhow::Result<Cost> {
        let mut cost = Cost { memory: 0, disk: size(&self.nats.store()) };
        for process in self.bus.processes() {
            cost.memory += resident(process.process())?;
            cost.disk += size(&process.home().journal()) + size(&process.home().state());
        }
        Ok(cost)
    }
}

/// Bytes of all files below; none where there is no folder. One that has just been removed counts nothing.
fn size(folder: &Path) -> u64 {
    let files = WalkDir::new(folder).into_iter().flatten();
    let sizes = files.filter_map(|file| file.metadata().ok()).filter(Metadata::is_file);
    sizes.map(|file| file.len()).sum()
}
