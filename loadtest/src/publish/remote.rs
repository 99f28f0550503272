//! A publisher before a broker, against that broker's own client, and against HTTP alone.

use std::time::Duration;

use schemas::{LineId, LogMessage, wire};
use serde_json::{Value, json};
use tests::bus::Bus;
use tests::record;

use super::{Acknowledged, Publish};
use crate::audit::audit;
use crate::child::{Child, Trade};
use crate::http::let_in;
use crate::log::{Kind, Log};
use crate::measure::{Round, Rounds, ratio};
use crate::raw::{Place, Raw};
use crate::usage::Cpu;

/// What takes part in every round.
struct Bench {
    log: Log,
    raw: Raw,
    place: Place,
    bus: Bus,
    http: Child,
}

impl Publish {
    pub(super) async fn run_remote(&self, kind: Kind, each: Duration) -> anyhow::Result<Value> {
        let bench = Bench::start(kind).await?;
        let (mut ours, mut raw, mut http) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        let mut acknowledged = Acknowledged::default();
        // The first warms up and does not count.
        for round in 0..=self.rounds {
            let theirs = bench.baseline(each).await?;
            let (bare, _) = self.round(bench.http.address(), each).await?;
            let (own, told) = self.round(bench.bus.publishers[0].api().address(), each).await?;
            acknowledged.extend(told);
            if round > 0 {
                raw.push(theirs);
                http.push(bare);
                ours.push(own);
            }
        }
        let broker = bench.log.broker(bench.bus.wire.prefix()).await?;
        let verdict = audit(broker.as_ref(), &acknowledged.ids).await?;
        Ok(json!({
            "scenario": "publish",
            "broker": kind.name(),
            "ours": ours.document()?,
            "baseline": raw.document()?,
            "ratio": ratio(ours.median()?, raw.median()?),
            "baseline_http": http.document()?,
            "ratio_http": ratio(ours.median()?, http.median()?),
            "ceiling": ratio(http.median()?, raw.median()?),
            "lost": verdict.lost,
            "stale_after_final": 0,
            "acknowledged": acknowledged.ids.len(),
            "acknowledged_by_the_journal_only": acknowledged.in_journal,
            "log": verdict,
            "clients": self.clients,
            "per_request": self.per_request,
            "notes": [
                "closed loop: each client sends its next request after the last answer, with per_request URLs, of which each counts",
                "ours: answers with durable = broker; baseline: the broker's own client, pipelined, messages of one invalidation of one URL",
                "baseline_http: the same clients at a server that reads the same body and sends a fixed answer of the same size, without journal or broker",
                "ceiling: baseline_http against baseline, which no API of one request for each invalidation exceeds here",
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
        bus.start_publisher("publisher-1", &let_in()).await;
        bus.registered().await;
        Ok(Self { log, raw, place, bus, http: Child::start(Trade::BareHttp).await? })
    }

    async fn baseline(&self, time: Duration) -> anyhow::Result<Round> {
        let frame = record::frame(LineId::from_bytes([1; 16]), 1, 1);
        let body = wire::encode_log(&LogMessage::Frame(frame));
        let before = Cpu::now()?;
        let published = self.raw.publish_for(&self.place, &body, time).await?;
        let cpu = Cpu::now()?.since(&before);
        Ok(Round { count: published.messages, took: published.took, cpu })
    }
}
