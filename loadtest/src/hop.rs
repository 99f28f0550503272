//! `hop`: one message from publish to read on an idle log, through ours and through the broker's own client.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Start, Subscription, Topic};
use bytes::Bytes;
use clap::Args;
use schemas::{LineId, LogMessage, Priority, wire};
use serde_json::{Value, json};
use tests::record;
use tokio::time::{Instant, sleep_until, timeout};

use crate::log::Kind;
use crate::measure::{Latencies, ratio};
use crate::raw::Listener;
use crate::terms::Terms;

/// Names of the run's streams and topics begin so.
const PREFIX: &str = "purgebus";
/// Time between two messages, whether or not the last one has come: long enough to be idle between.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait for a message.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// Samples that are not counted, first.
const WARM_UP: u32 = 20;

/// Publish to read with nothing else going on.
#[derive(Debug, Args)]
pub(crate) struct Hop {
    /// The broker
    #[arg(long)]
    broker: Kind,
    /// Samples of the baseline and of ours, in turn
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
}

impl Hop {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let log = self.broker.start().await;
        let raw = log.raw().await?;
        let place = raw.make("baseline").await?;
        let mut theirs = raw.listen(&place).await?;
        let mut own = Own::open(log.broker(PREFIX).await?).await?;
        let (mut ours, mut baseline) = (Latencies::new()?, Latencies::new()?);
        let frame = record::frame(LineId::from_bytes([1; 16]), 1, 1);
        let body = wire::encode_log(&LogMessage::Frame(frame));
        let mut next = Instant::now();
        for sample in 0..WARM_UP + terms.count(EVERY * 2, self.count) {
            let counts = sample >= WARM_UP;
            sleep_until(next).await;
            baseline.record_if(counts, theirs.hop(&body).await?.duration_since(next));
            next = Instant::now().max(next + EVERY);
            sleep_until(next).await;
            ours.record_if(counts, own.hop(&body).await?.duration_since(next));
            next = Instant::now().max(next + EVERY);
        }
        let (ours, baseline) = (ours.percentiles(), baseline.percentiles());
        Ok(json!({
            "scenario": "hop",
            "broker": self.broker.name(),
            "ours": ours,
            "baseline": baseline,
            "ratio": ratio(ours.p50_us, baseline.p50_us),
            "ratio_p99": ratio(ours.p99_us, baseline.p99_us),
            "lost": 0,
            "stale_after_final": 0,
            "notes": [
                "from the intended time of the publish until the reader has the message; every message was read, or the run had failed",
                Listener::SETTINGS,
                "there is no cache in this run, so nothing could be stale",
            ],
        }))
    }
}

/// Ours: publishing and reading as publisher and agent do.
struct Own {
    broker: Arc<dyn Broker>,
    topic: Topic,
    subscription: Box<dyn Subscription>,
}

impl Own {
    async fn open(broker: Arc<dyn Broker>) -> anyhow::Result<Self> {
        let topic = Topic::log(Priority::Normal.as_str());
        let subscription = broker.subscribe(topic, Start::Newest).await?;
        Ok(Self { broker, topic, subscription })
    }

    /// Answers when the message was read.
    async fn hop(&mut self, body: &Bytes) -> anyhow::Result<Instant> {
        let id = Some(format!("{:016x}", fastrand::u64(..)));
        let message = Message { key: None, id, body: body.clone() };
        let publishing = self.broker.publish(self.topic, Partition::default(), vec![message]);
        let reading = async {
            timeout(READ_WITHIN, self.subscription.read(1)).await??;
            anyhow::Ok(Instant::now())
        };
        let (published, read) = tokio::join!(publishing, reading);
        published?;
        read
    }
}
