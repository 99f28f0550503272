//! The agent's voice: one board message with the latest word of all its lanes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Topic};
use daemon::{BoxError, Clock, Stop};
use schemas::{
    AgentName, BoardMessage, CacheName, CacheReport, REPORTS_BOARD, Region, Report, SiteName, wire,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;
use uuid::Uuid;

use crate::error_chain;
use crate::progress::Progress;

/// An idle agent reports this often, so that silence means that it is gone.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// A busy agent reports at most this often; an idle one at once.
const AT_MOST_EVERY: Duration = Duration::from_millis(20);
/// Longest wait for the broker.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

/// One cache to report about.
#[derive(Debug)]
pub(crate) struct ReportedCache {
    pub(crate) cache: CacheName,
    pub(crate) driver: String,
    pub(crate) sites: Option<BTreeSet<SiteName>>,
    pub(crate) lanes: Vec<Arc<Progress>>,
}

/// The reporter of an agent.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) agent: AgentName,
    pub(crate) instance: Uuid,
    pub(crate) region: Region,
    pub(crate) caches: Vec<ReportedCache>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Clock,
    pub(crate) news: Arc<Notify>,
    pub(crate) registered: watch::Sender<bool>,
}

impl Reporter {
    /// Reports until stopped, and a last time then.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        // Rises over restarts too, without being stored.
        let started = self.clock.now().as_microsecond();
        let mut sequence = u64::try_from(started).unwrap_or(0);
        while !stop.is_requested() {
            let sent = Instant::now();
            sequence += 1;
            self.report(sequence).await;
            tokio::select! {
                () = stop.requested() => {}
                () = sleep_until(sent + AT_MOST_EVERY) => {}
            }
            tokio::select! {
                () = stop.requested() => {}
                () = self.news.notified() => {}
                () = sleep_until(sent + AT_LEAST_EVERY) => {}
            }
        }
        self.report(sequence + 1).await;
        Ok(())
    }

    async fn report(&self, sequence: u64) {
        let message = Message {
            key: Some(self.agent.to_string()),
            id: None,
            body: wire::encode_board(&BoardMessage::Report(Box::new(self.compose(sequence)))),
        };
        let board = Topic::board(REPORTS_BOARD);
        let published = self.broker.publish(board, Partition::default(), vec![message]);
        match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => drop(self.registered.send_replace(true)),
            Ok(Err(error)) => warn!(error = error_chain(&error), "report not published"),
            Err(_) => warn!("report not published: the broker does not answer"),
        }
    }

    fn compose(&self, sequence: u64) -> Report {
        let caches = self.caches.iter().map(|cache| {
            let (lanes, abilities): (Vec<_>, Vec<_>) =
                cache.lanes.iter().map(|lane| lane.latest()).unzip();
            CacheReport {
                cache: cache.cache.clone(),
                driver: cache.driver.clone(),
                sites: cache.sites.clone(),
                abilities: abilities.into_iter().flatten().next(),
                lanes,
            }
        });
        Report {
            agent: self.agent.clone(),
            instance: self.instance,
            sequence,
            region: self.region.clone(),
            at: self.clock.now(),
            caches: caches.collect(),
            clocks: Vec::new(),
        }
    }
}
