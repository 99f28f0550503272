//! `idle`: one invalidation at a time, from accepted to applied, against the raw parts one after the other: fdatasync,
//! publish and pull where there is a broker, PURGE; and the same with what tells the publisher of it, one more publish
//! and pull.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tests::record::HOST;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::log::{Kind, Log};
use crate::measure::{Latencies, ratio};
use crate::ours::Ours;
use crate::pages::Pages;
use crate::raw::Listener;
use crate::terms::Terms;
use crate::usage::Cpu;

/// Bytes of the baseline's record: about those of a frame of one URL.
const RECORD_BYTES: usize = 512;
/// Time between two invalidations, whether or not the last one has come back: long enough to be idle between.
const EVERY: Duration = Duration::from_millis(100);

/// Samples that are not counted, first.
const WARM_UP: u32 = 20;

/// Publish to applied with nothing else going on.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Samples of the baseline and of ours, in turn
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Publisher and agent apart, on this broker, instead of `serve`
    #[arg(long)]
    broker: Option<Kind>,
}

impl Idle {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let pages = Pages::start().await?;
        let log = match self.broker {
            Some(kind) => Some(kind.start().await),
            None => None,
        };
        let ours = Ours::start(log.as_ref(), pages.before_agent()).await;
        let mut parts = Parts::open(pages.varnish(), log.as_ref()).await?;
        let (mut applied, mut raw, mut told) =
            (Latencies::new()?, Latencies::new()?, Latencies::new()?);
        let samples = WARM_UP + terms.count(EVERY * 2, self.count);
        let paths: Vec<_> = (0..samples).map(|sample| format!("/page/{sample}")).collect();
        pages.age(&paths).await?;
        let (mut published, mut next) = (Vec::new(), Instant::now());
        let before = Cpu::now()?;
        for (sample, path) in (0..).zip(paths) {
            let counts = sample >= WARM_UP;
            sleep_until(next).await;
            let Times { purged, reported } = parts.once().await?;
            raw.record_if(counts, purged);
            told.record_if(counts, reported);
            next += EVERY;
            sleep_until(next).await;
            let (id, took) = once(&ours, &path).await?;
            applied.record_if(counts, took);
            published.push((id, path));
            next += EVERY;
        }
        let cpu = Cpu::now()?.since(&before).microseconds_each(samples.into());
        let found = pages.look_through(ours.api(), published).await;
        let (ours, raw, told) = (applied.percentiles(), raw.percentiles(), told.percentiles());
        Ok(json!({
            "scenario": "idle",
            "broker": self.broker.map_or("embedded", Kind::name),
            "ours": ours,
            "baseline": raw,
            "ratio": ratio(ours.p50_us, raw.p50_us),
            "ratio_p99": ratio(ours.p99_us, raw.p99_us),
            "baseline_reported": told,
            "ratio_reported": ratio(ours.p50_us, told.p50_us),
            "ratio_reported_p99": ratio(ours.p99_us, told.p99_us),
            "cpu_us_each": cpu,
            "lost": found.lost,
            "stale_after_final": found.stale,
            "never_final": found.unfinished,
            "notes": [
                "ours: accepted to report received, on the publisher's clock: with a broker, the report travels over it too",
                "ours syncs once, as the baseline does; `serve` stores the report on its own log too, with two more syncs",
                "baseline: one fdatasync of 512 bytes, then, where there is a broker, one publish until a waiting consumer has it, then one PURGE by key on a kept connection",
                "lost: pages that were in the cache before, and that it still served old when all was over; cpu_us_each: of ours and the baseline together, waiting included",
                "baseline_reported: the same, and then, where there is a broker, one more publish until a waiting consumer has it",
            ],
        }))
    }
}

/// Purges one page through the API; its id, and its time from accepted to applied.
async fn once(ours: &Ours, path: &str) -> anyhow::Result<(Uuid, Duration)> {
    let body = json!({"urls": [format!("https://{HOST}{path}")]});
    let progress = ours.api().publish_until("applied", &body).await;
    let applied = progress.applied_ms.context("it was applied, without a time")?;
    Ok((progress.facts.id, Duration::from_secs_f64(applied / 1_000.0)))
}

/// How long the raw parts took.
struct Times {
    /// Until the PURGE was answered.
    purged: Duration,
    /// Until whoever published could know.
    reported: Duration,
}

/// The raw parts: a file, perhaps a broker, and a connection to Varnish.
struct Parts {
    file: NamedTempFile,
    broker: Option<(Listener, Bytes)>,
    varnish: TcpStream,
}

impl Parts {
    async fn open(varnish: SocketAddr, log: Option<&Log>) -> anyhow::Result<Self> {
        let varnish = TcpStream::connect(varnish).await?;
        varnish.set_nodelay(true)?;
        let broker = match log {
            None => None,
            Some(log) => {
                let raw = log.raw().await?;
                let listener = raw.listen(&raw.make("baseline").await?).await?;
                Some((listener, Bytes::from(vec![b'x'; RECORD_BYTES])))
            }
        };
        Ok(Self { file: NamedTempFile::new()?, broker, varnish })
    }

    async fn once(&mut self) -> anyhow::Result<Times> {
        let began = Instant::now();
        self.file.write_all(&[b'x'; RECORD_BYTES])?;
        self.file.as_file().sync_data()?;
        self.hop().await?;
        self.purge().await?;
        let purged = began.elapsed();
        self.hop().await?;
        Ok(Times { purged, reported: began.elapsed() })
    }

    /// From the publish until the consumer has it, where there is a broker.
    async fn hop(&mut self) -> anyhow::Result<()> {
        if let Some((listener, body)) = &mut self.broker {
            listener.hop(body).await?;
        }
        Ok(())
    }

    async fn purge(&mut self) -> anyhow::Result<()> {
        let page = fastrand::u32(..);
        let request = format!(
            "PURGE / HTTP/1.1\r\nHost: www.example.com\r\n\
             X-Purgebus-Hard: u:www.example.com/page/{page}\r\n\r\n"
        );
        self.varnish.write_all(request.as_bytes()).await?;
        let mut answer = [0; 4_096];
        let length = self.varnish.read(&mut answer).await?;
        ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "the baseline's PURGE failed");
        Ok(())
    }
}
