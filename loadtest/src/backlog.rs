//! `backlog`: resident memory of `serve`, idle and while a cache that is down owes it everything.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};
use tests::serve::{Serve, Settings};
use tests::servers::free_port;
use tokio::time::sleep;

use crate::measure::ratio;
use crate::usage::resident;

/// Requests under way at once.
const UNDER_WAY: usize = 64;
/// Time to settle before memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// Memory of `serve`, idle and with a backlog.
#[derive(Debug, Args)]
pub(crate) struct Backlog {
    /// Invalidations that the cache owes
    #[arg(long, default_value_t = 100_000)]
    count: u64,
}

impl Backlog {
    pub(crate) async fn run(&self) -> anyhow::Result<Value> {
        // Nobody listens there: the cache is down from the beginning.
        let down = ([127, 0, 0, 1], free_port().await).into();
        let bus = Serve::start(Settings::default().varnish(down, "")).await;
        sleep(SETTLE).await;
        let idle = resident(bus.process())?;
        let mut published = stream::iter(0..self.count)
            .map(|page| {
                let body = json!({"urls": [format!("https://www.example.com/page/{page}")]});
                let bus = &bus;
                async move { bus.api().publish(&body).await }
            })
            .buffer_unordered(UNDER_WAY);
        let mut peak = idle;
        let mut count = 0_u64;
        while published.next().await.is_some() {
            count += 1;
            if count.is_multiple_of(1_000) {
                peak = peak.max(resident(bus.process())?);
            }
        }
        sleep(SETTLE).await;
        let backlog = resident(bus.process())?;
        let lag = bus.api().lanes("varnish").await.iter().map(|lane| lane.lag_numbers).sum::<u64>();
        Ok(json!({
            "scenario": "backlog",
            "ours": {"resident_bytes": backlog, "peak_bytes": peak, "owed": lag, "published": count},
            "baseline": {"resident_bytes": idle},
            "ratio": ratio(backlog, idle),
            "notes": ["baseline: the same process before the first invalidation"],
        }))
    }
}
