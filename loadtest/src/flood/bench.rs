//! Who floods, who is critical, and what the oracle finds afterwards.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Flood;
use crate::beat::Beat;
use crate::http::{Clients, Request, Sent, purge_critical};
use crate::log::Log;
use crate::measure::Latencies;
use crate::ours::Ours;
use crate::pages::{Pages, Verdict};

/// The flood begins so long before critical requests do.
const HEAD_START: Duration = Duration::from_millis(200);

/// The bus, its cache, and what was published on it.
pub(super) struct Bench {
    pages: Pages,
    ours: Ours,
    critical: u64,
    flood: (u64, u64, usize),
    /// Numbers of pages that nobody has yet.
    next: u64,
    verdict: Verdict,
    _log: Option<Log>,
}

/// What came of floods.
#[derive(Debug, Default)]
pub(super) struct Flooded {
    requests: u64,
    urls: u64,
    critical: u64,
    behind: u64,
    drained: Duration,
}

impl Bench {
    pub(super) async fn start(flood: &Flood) -> anyhow::Result<Self> {
        let pages = Pages::start_as(flood.plain).await?;
        let log = flood.broker.start().await;
        let ours = Ours::start(log.as_ref(), pages.before_agent()).await;
        Ok(Self {
            pages,
            ours,
            critical: flood.critical,
            flood: (flood.requests, flood.per_request, flood.clients.into()),
            next: 0,
            verdict: Verdict::default(),
            _log: log,
        })
    }

    /// What was found in all rounds.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Critical ones with nothing else going on.
    pub(super) async fn alone(&mut self, time: Duration) -> anyhow::Result<Latencies> {
        let critical = self.prepare("critical", self.critical, time).await?;
        let sent = self.send_critical(&critical, time).await?;
        let latencies = Latencies::of(sent.iter().map(|sent| sent.latency))?;
        self.look_through(&[(&critical, &sent)]).await;
        Ok(latencies)
    }

    /// Critical ones while normal ones come.
    pub(super) async fn flooded(&mut self, time: Duration) -> anyhow::Result<(Latencies, Flooded)> {
        let (requests, per_request, _) = self.flood;
        let flooding = time + HEAD_START;
        let critical = self.prepare("critical", self.critical, time).await?;
        let normal = self.prepare("normal", requests, flooding).await?;
        let late = async {
            sleep(HEAD_START).await;
            self.send_critical(&critical, time).await
        };
        let (sent, flood) = tokio::try_join!(late, self.send_normal(&normal, flooding))?;
        let behind = self.ours.agent().count("purgebus_lag_numbers", &[]).await;
        let ended = Instant::now();
        let latencies = Latencies::of(sent.iter().map(|sent| sent.latency))?;
        self.look_through(&[(&critical, &sent), (&normal, &flood)]).await;
        let flooded = Flooded {
            requests: flood.len() as u64,
            urls: flood.len() as u64 * per_request,
            critical: sent.len() as u64,
            behind,
            drained: ended.elapsed(),
        };
        Ok((latencies, flooded))
    }

    /// Pages in the cache that have changed, one for each request of so many a second.
    async fn prepare(
        &mut self,
        kind: &str,
        rate: u64,
        time: Duration,
    ) -> anyhow::Result<Vec<String>> {
        let first = self.next;
        self.next += Beat::new(rate, time).count();
        let paths: Vec<_> = (first..self.next).map(|page| format!("/{kind}/{page}")).collect();
        self.pages.age(&paths).await?;
        Ok(paths)
    }

    async fn send_critical(&self, paths: &[String], time: Duration) -> anyhow::Result<Vec<Sent>> {
        let api = self.ours.api().address();
        purge_critical(api, self.critical, time, |number| path(paths, number)).await
    }

    /// Each request names a page of the cache somewhere among others.
    async fn send_normal(&self, paths: &[String], time: Duration) -> anyhow::Result<Vec<Sent>> {
        let (rate, urls, clients) = self.flood;
        let clients = Clients::connect(self.ours.api().address(), clients).await?;
        let request = |number: u64| {
            let (cached, page) = (number % urls, path(paths, number));
            Request::of_pages(
                (0..urls).map(
                    |at| {
                        if at == cached { page.clone() } else { format!("{page}/{at}") }
                    },
                ),
            )
        };
        clients.keep_time(&Beat::new(rate, time), request).await
    }

    /// Waits until everything is final, and has the oracle read every page.
    async fn look_through(&mut self, all: &[(&Vec<String>, &Vec<Sent>)]) {
        let published = all
            .iter()
            .flat_map(|(paths, sent)| sent.iter().map(|sent| (sent.id, path(paths, sent.number))));
        let found = self.pages.look_through(self.ours.api(), published).await;
        self.verdict = self.verdict.and(found);
    }
}

fn path(paths: &[String], number: u64) -> String {
    let at = usize::try_from(number).unwrap_or(usize::MAX);
    paths.get(at).cloned().unwrap_or_default()
}

impl Flooded {
    /// Everything that was published.
    pub(super) fn invalidations(&self) -> u64 {
        self.requests + self.critical
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.urls += other.urls;
        self.critical += other.critical;
        self.behind = self.behind.max(other.behind);
        self.drained = self.drained.max(other.drained);
    }

    pub(super) fn document(&self, time: Duration) -> Value {
        let per_second = u128::from(self.urls) * 1_000 / time.as_millis().max(1);
        json!({
            "requests": self.requests,
            "urls": self.urls,
            "urls_per_second": u64::try_from(per_second).unwrap_or(u64::MAX),
            "behind": self.behind,
            "final_after_seconds_at_most": self.drained.as_secs_f64().round(),
        })
    }
}
