//! A publisher, a broker, and a fleet of agents in a few processes.

use std::time::Duration;

use serde_json::{Value, json};
use tests::bus::{Bus, Wire};
use tests::serve::Api;
use tests::servers::nats::Nats;
use tokio::time::{Instant, sleep};

use crate::beat::Beat;
use crate::child::{Child, Fleet};
use crate::http::{Clients, Request};
use crate::regions::{caught_up, known};
use crate::usage::{Cpu, resident};

/// What the processes are called in the kernel's books.
const PUBLISHER: &str = "purgebus publisher";
const BROKER: &str = "nats-server";
const AGENTS: &str = "fleet";
/// Lanes settle down so long before anything is measured.
const SETTLE: Duration = Duration::from_secs(1);

/// They run, and are dead when dropped.
pub(super) struct Bench {
    lanes: u32,
    fleets: Vec<Child>,
    bus: Bus,
    nats: Nats,
    /// Pages that were published.
    published: u64,
}

/// Where the books stood at the beginning of a part.
struct Books {
    cpu: Cpu,
    reports: u64,
    messages: u64,
    at: Instant,
}

impl Bench {
    /// So many agents, of which the publisher knows all.
    pub(super) async fn start(lanes: u32, together: u32) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let mut bus = Bus::on(Wire::nats([nats.url()])).unsigned();
        bus.start_publisher("publisher-1", "").await;
        bus.registered().await;
        let (mut fleets, mut first) = (Vec::new(), 0);
        while first < lanes {
            let agents = together.min(lanes - first);
            let (url, prefix) = (nats.url(), bus.wire.prefix().to_owned());
            fleets.push(Child::start_fleet(&Fleet { url, prefix, agents, first }).await?);
            first += agents;
        }
        let bench = Self { lanes, fleets, bus, nats, published: 0 };
        known(bench.api(), lanes).await?;
        sleep(SETTLE).await;
        Ok(bench)
    }

    fn api(&self) -> &Api {
        self.bus.publishers[0].api()
    }

    async fn books(&self) -> anyhow::Result<Books> {
        let [reports, messages] = [self.said_on("reports").await?, self.said_on("normal").await?];
        Ok(Books { cpu: Cpu::now()?, reports, messages, at: Instant::now() })
    }

    /// How many messages there ever were on a topic.
    async fn said_on(&self, topic: &str) -> anyhow::Result<u64> {
        let stream = self.nats.admin().await.get_stream(self.bus.wire.stream(topic)).await?;
        Ok(stream.get_info().await?.state.last_sequence)
    }

    /// Nothing comes for that long.
    pub(super) async fn idle(&self, time: Duration) -> anyhow::Result<Value> {
        let before = self.books().await?;
        sleep(time).await;
        self.since(&before, 0).await
    }

    /// So many a second, by so many clients at once each time, until every agent has purged all of them.
    pub(super) async fn publish(
        &mut self,
        rate: u64,
        at_once: usize,
        time: Duration,
    ) -> anyhow::Result<Value> {
        let clients = Clients::connect(self.api().address(), at_once).await?;
        let (before, first) = (self.books().await?, self.published);
        let page = |number| format!("/page/{}", first + number);
        let request = |number| Request::of_pages([page(number)].into_iter());
        let beat = Beat::new(rate, time).in_bursts_of(u64::try_from(at_once)?);
        clients.keep_time(&beat, request).await?;
        self.published += beat.count();
        caught_up(self.api()).await?;
        self.since(&before, beat.count()).await
    }

    async fn since(&self, before: &Books, published: u64) -> anyhow::Result<Value> {
        let now = self.books().await?;
        let (cpu, took) = (now.cpu.since(&before.cpu), now.at.duration_since(before.at));
        let seconds = took.as_secs_f64();
        let each = |name: &str| {
            let shares = f64::from(self.lanes) * as_float(published.max(1));
            whole(cpu.seconds(name) * 1e9 / shares)
        };
        let per_lane = |name: &str| {
            let share = cpu.seconds(name) * 1e6 / seconds / f64::from(self.lanes);
            (share * 10.0).round() / 10.0
        };
        let mut figures = json!({
            "published": published,
            "seconds": (seconds * 10.0).round() / 10.0,
            "reports_per_second": whole(as_float(now.reports - before.reports) / seconds),
            "publisher_us_per_second_and_lane": per_lane(PUBLISHER),
            "broker_us_per_second_and_lane": per_lane(BROKER),
            "agents_us_per_second_and_lane": per_lane(AGENTS),
        });
        if published > 0 {
            figures["messages"] = json!(now.messages - before.messages);
            figures["publisher_ns_each_and_lane"] = json!(each(PUBLISHER));
            figures["broker_ns_each_and_lane"] = json!(each(BROKER));
            figures["agents_ns_each_and_lane"] = json!(each(AGENTS));
        }
        Ok(figures)
    }

    /// Resident memory, and what of it falls to each lane.
    pub(super) fn memory(&self) -> anyhow::Result<Value> {
        let publisher = resident(self.bus.publishers[0].process())?;
        let agents = self.fleets.iter().map(Child::resident).sum::<anyhow::Result<u64>>()?;
        let lanes = u64::from(self.lanes);
        Ok(json!({
            "publisher_bytes": publisher,
            "publisher_bytes_per_lane": publisher / lanes,
            "agents_bytes": agents,
            "agent_bytes_per_lane": agents / lanes,
        }))
    }

    /// Ends the agents; answers how many purges their caches were not told of.
    pub(super) async fn end(self) -> anyhow::Result<u64> {
        let mut purged = 0;
        for fleet in self.fleets {
            purged += fleet.purged().await?;
        }
        Ok((self.published * u64::from(self.lanes)).saturating_sub(purged))
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, none below zero"
)]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}
