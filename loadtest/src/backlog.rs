//! `backlog`: resident memory of `serve`, idle and while a cache that is down owes it everything.

use std::collections::HashSet;
use std::future::ready;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};
use tests::serve::{Serve, Settings};
use tests::servers::free_port;
use tokio::time::{Instant, sleep};

use crate::measure::ratio;
use crate::terms::Terms;
use crate::usage::resident;

/// Requests under way at once.
const UNDER_WAY: usize = 64;
/// Time to settle before memory is read.
const SETTLE: Duration = Duration::from_secs(5);
/// Longest time to publish.
const LONGEST: Duration = Duration::from_mins(10);

/// Memory of `serve`, idle and with a backlog.
#[derive(Debug, Args)]
pub(crate) struct Backlog {
    /// Invalidations that the cache owes
    #[arg(long, default_value_t = 100_000)]
    count: u64,
}

impl Backlog {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        // Nobody listens there: the cache is down from the beginning.
        let down = ([127, 0, 0, 1], free_port()).into();
        let mut bus = Serve::start(Settings::default().varnish(down, "")).await;
        sleep(terms.pause(SETTLE)).await;
        let idle = resident(bus.process())?;
        let until = Instant::now() + terms.time(LONGEST);
        let mut publishing = stream::iter(0..self.count)
            .take_while(|_| ready(Instant::now() < until))
            .map(|page| {
                let body = json!({"urls": [format!("https://www.example.com/page/{page}")]});
                let bus = &bus;
                async move { bus.api().publish(&body).await }
            })
            .buffer_unordered(UNDER_WAY);
        let mut peak = idle;
        let mut ids = Vec::new();
        while let Some(accepted) = publishing.next().await {
            ids.push(accepted.id);
            if ids.len().is_multiple_of(1_000) {
                peak = peak.max(resident(bus.process())?);
            }
        }
        drop(publishing);
        sleep(terms.pause(SETTLE)).await;
        let backlog = resident(bus.process())?;
        let lag = bus.api().lanes("varnish").await.iter().map(|lane| lane.lag_numbers).sum::<u64>();
        bus.kill();
        let on_log: HashSet<_> =
            bus.remains().await.numbered.into_values().map(|one| one.id).collect();
        let lost = ids.iter().filter(|id| !on_log.contains(id)).count();
        Ok(json!({
            "scenario": "backlog",
            "ours": {"resident_bytes": backlog, "peak_bytes": peak, "owed": lag, "published": ids.len()},
            "baseline": {"resident_bytes": idle},
            "ratio": ratio(backlog, idle),
            "lost": lost,
            "stale_after_final": 0,
            "notes": [
                "baseline: the same process before the first invalidation",
                "lost: accepted, and not on the log that the process left when it was killed; no cache is there that could be stale",
            ],
        }))
    }
}
