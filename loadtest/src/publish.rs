//! `publish`: many clients of the API against the broker's own client, which publishes single messages.

use std::time::Duration;

use clap::Args;
use schemas::{LineId, LogMessage, wire};
use serde_json::{Value, json};
use tests::bus::Bus;
use uuid::Uuid;

use crate::audit::audit;
use crate::http::Clients;
use crate::log::{Kind, Log};
use crate::measure::{Round, Rounds, ratio};
use crate::raw::{Place, Raw};
use crate::record;
use crate::usage::Cpu;

/// Invalidations a second through the API, acknowledged by the broker.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// Length of a round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds of the baseline and of ours, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Clients, each with one request under way
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
}

/// What takes part in every round.
struct Bench {
    log: Log,
    raw: Raw,
    place: Place,
    bus: Bus,
    acknowledged: Vec<Uuid>,
    in_journal: usize,
}

impl Publish {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        let mut bench = Bench::start(self.broker).await?;
        let (mut ours, mut raw) = (Rounds::default(), Rounds::default());
        // The first warms up and does not count.
        for round in 0..=self.rounds {
            let (theirs, own) = (bench.baseline(self).await?, bench.ours(self).await?);
            if round > 0 {
                raw.push(theirs);
                ours.push(own);
            }
        }
        let broker = bench.log.broker(bench.bus.wire.prefix()).await?;
        let verdict = audit(broker.as_ref(), &bench.acknowledged).await?;
        Ok(json!({
            "scenario": "publish",
            "broker": self.broker.name(),
            "ours": ours.document()?,
            "baseline": raw.document()?,
            "ratio": ratio(ours.median()?, raw.median()?),
            "lost": verdict.lost,
            "stale_after_final": 0,
            "acknowledged": bench.acknowledged.len(),
            "acknowledged_by_the_journal_only": bench.in_journal,
            "log": verdict,
            "clients": self.clients,
            "notes": [
                "closed loop: each client sends its next request after the last answer, one invalidation of one URL each",
                "ours: answers with durable = broker; baseline: the broker's own client, pipelined, messages of one invalidation",
                "lost: acknowledged ids that the log does not hold exactly once; its numbers were found without a gap",
                "there is no cache in this run, so nothing could be stale",
            ],
        }))
    }
}

impl Bench {
    async fn start(kind: Kind) -> anyhow::Result<Self> {
        let log = kind.start().await;
        let raw = log.raw().await?;
        let place = raw.make("baseline").await?;
        let mut bus = Bus::on(log.wire());
        bus.start_publisher("publisher-1", "").await;
        bus.registered().await;
        Ok(Self { log, raw, place, bus, acknowledged: Vec::new(), in_journal: 0 })
    }

    async fn baseline(&self, publish: &Publish) -> anyhow::Result<Round> {
        let frame = record::frame(LineId::from_bytes([1; 16]), 1, 1);
        let body = wire::encode_log(&LogMessage::Frame(frame));
        let before = Cpu::now()?;
        let time = Duration::from_secs(publish.seconds);
        let published = self.raw.publish_for(&self.place, &body, time).await?;
        let cpu = Cpu::now()?.since(&before);
        Ok(Round { count: published.messages, took: published.took, cpu })
    }

    async fn ours(&mut self, publish: &Publish) -> anyhow::Result<Round> {
        let api = self.bus.publishers[0].api().address();
        let clients = Clients::connect(api, publish.clients.into()).await?;
        let before = Cpu::now()?;
        let published = clients.publish_for(Duration::from_secs(publish.seconds)).await?;
        let cpu = Cpu::now()?.since(&before);
        let count = published.ids.len() as u64;
        self.in_journal += published.in_journal.len();
        self.acknowledged.extend(published.ids);
        self.acknowledged.extend(published.in_journal);
        Ok(Round { count, took: published.took, cpu })
    }
}
