//! `idle`: one invalidation at a time, from accepted to applied, against one fdatasync and one PURGE.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tests::serve::{Serve, Settings};
use tests::servers::origin::Origin;
use tests::servers::varnish::{Varnish, shipped_vcl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::measure::{Latencies, ratio};

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
}

impl Idle {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        let origin = Origin::start().await;
        let include = format!("include \"{}\";\n", fs::canonicalize(shipped_vcl())?.display());
        let varnish = Varnish::start(origin.address(), &include).await;
        let bus = Settings::default().varnish(varnish.address(), "rebounds = []");
        let bus = Serve::start_ready(bus).await;
        let mut parts = Parts::open(varnish.address()).await?;
        let (mut ours, mut raw) = (Latencies::new()?, Latencies::new()?);
        let mut next = Instant::now();
        for sample in 0..WARM_UP + self.count {
            let counts = sample >= WARM_UP;
            sleep_until(next).await;
            raw.record_if(counts, parts.once().await?);
            next += EVERY;
            sleep_until(next).await;
            ours.record_if(counts, applied(&bus).await?);
            next += EVERY;
        }
        let (ours, raw) = (ours.percentiles(), raw.percentiles());
        Ok(json!({
            "scenario": "idle",
            "ours": ours,
            "baseline": raw,
            "ratio": ratio(ours.p50_us, raw.p50_us),
            "ratio_p99": ratio(ours.p99_us, raw.p99_us),
            "notes": [
                "ours: accepted to report received, on the publisher's clock",
                "baseline: one fdatasync of 512 bytes, then one PURGE by key on a kept connection",
            ],
        }))
    }
}

/// Publishes one URL through the API; its time from accepted to applied.
async fn applied(bus: &Serve) -> anyhow::Result<Duration> {
    let page = fastrand::u32(..);
    let body = json!({"urls": [format!("https://www.example.com/page/{page}")]});
    let progress = bus.api().publish_until("applied", &body).await;
    let applied = progress.applied_ms.context("it was applied, without a time")?;
    Ok(Duration::from_secs_f64(applied / 1_000.0))
}

/// The raw parts: a file and a connection to Varnish.
struct Parts {
    file: NamedTempFile,
    varnish: TcpStream,
}

impl Parts {
    async fn open(varnish: SocketAddr) -> anyhow::Result<Self> {
        let varnish = TcpStream::connect(varnish).await?;
        varnish.set_nodelay(true)?;
        Ok(Self { file: NamedTempFile::new()?, varnish })
    }

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.file.write_all(&[b'x'; RECORD_BYTES])?;
        self.file.as_file().sync_data()?;
        let page = fastrand::u32(..);
        let request = format!(
            "PURGE / HTTP/1.1\r\nHost: www.example.com\r\n\
             X-Purgebus-Hard: u:www.example.com/page/{page}\r\n\r\n"
        );
        self.varnish.write_all(request.as_bytes()).await?;
        let mut answer = [0; 4_096];
        let length = self.varnish.read(&mut answer).await?;
        ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "the baseline's PURGE failed");
        Ok(began.elapsed())
    }
}
