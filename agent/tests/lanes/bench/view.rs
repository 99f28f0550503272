//! What an agent has done, and says of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use broker_adapter::{Broker, Start, Topic};
use bytes::Bytes;
use daemon::Readiness;
use schemas::{
    BoardMessage, ClockReading, LaneReport, LineReport, Priority, REPORTS_BOARD, Report, wire,
};
use tokio::time::{sleep, timeout};

use super::{Bench, PATIENCE, line};

/// The line of a lane of which only one is heard.
pub(crate) trait OneLine {
    fn line(&self) -> LineReport;
}

impl OneLine for LaneReport {
    fn line(&self) -> LineReport {
        let unheard = || LineReport::new(line(self.priority));
        self.lines.first().cloned().unwrap_or_else(unheard)
    }
}

impl Bench {
    /// Waits until the normal lane of the first cache is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&LaneReport) -> bool) {
        let name = self.caches[0].0.clone();
        self.until_lane(&name, Priority::Normal, wanted).await;
    }

    pub(crate) async fn until_lane(
        &self,
        cache: &str,
        priority: Priority,
        wanted: impl Fn(&LaneReport) -> bool,
    ) {
        let mut latest = None;
        let watching = async {
            let board = Topic::board(REPORTS_BOARD);
            let mut reports = self.broker.subscribe(board, Start::Oldest).await.expect("a board");
            loop {
                for delivery in reports.read(10).await.expect("a report") {
                    let lane = lane_in(report_in(&delivery.body), cache, priority);
                    if lane.as_ref().is_some_and(&wanted) {
                        return;
                    }
                    latest = lane;
                }
            }
        };
        let seen = timeout(PATIENCE, watching).await;
        assert!(seen.is_ok(), "{cache} {priority} never got there: {latest:#?}");
    }

    /// The latest report of a lane.
    pub(crate) async fn report(&self, cache: &str, priority: Priority) -> LaneReport {
        lane_in(self.latest_report().await, cache, priority).expect("a lane of that name")
    }

    pub(super) async fn latest_report(&self) -> Report {
        report_in(&self.latest_report_bytes().await)
    }

    async fn latest_report_bytes(&self) -> Bytes {
        let board = Topic::board(REPORTS_BOARD);
        let mut reports = self.broker.subscribe(board, Start::Oldest).await.expect("a board");
        reports.read(1).await.expect("a report").remove(0).body
    }

    /// The size of the agent's latest report.
    pub(crate) async fn report_bytes(&self) -> u64 {
        self.latest_report_bytes().await.len() as u64
    }

    /// The size of all files that the agent keeps.
    pub(crate) fn state_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.state.path()).expect("its folder").flatten();
        files.map(|file| file.metadata().map_or(0, |known| known.len())).sum()
    }

    pub(crate) async fn until_purged(&self, cache: &str, count: usize) {
        let watching = async {
            while self.purges(cache).len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, watching).await.expect("it is purged");
    }

    pub(crate) async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Time since it was `before`.
    pub(crate) fn since(&self, before: Duration) -> Duration {
        self.elapsed().saturating_sub(before)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What a cache was purged of, in order.
    pub(crate) fn purges(&self, cache: &str) -> Vec<String> {
        let purges = self.purges.lock();
        purges.iter().filter(|(name, _)| name == cache).map(|(_, what)| what.clone()).collect()
    }

    /// What a cache was told to mark stale, in order.
    pub(crate) fn soft_purges(&self, cache: &str) -> Vec<String> {
        let purges = self.purges(cache).into_iter();
        purges.filter_map(|purge| Some(purge.strip_prefix("soft ")?.to_owned())).collect()
    }

    /// What the caches were purged of, in order.
    pub(crate) fn order(&self) -> Vec<String> {
        self.purges.lock().iter().map(|(cache, what)| format!("{cache} {what}")).collect()
    }

    pub(crate) fn distinct_purges(&self, cache: &str) -> usize {
        self.purges(cache).into_iter().collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn forget_purges(&self) {
        self.purges.lock().clear();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.health.ready()
    }

    /// Why which conditions are not ready.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let conditions = self.health.conditions().into_iter();
        conditions
            .filter_map(|(name, readiness)| match readiness {
                Readiness::NotReady(why) => Some(format!("{name}: {why}")),
                Readiness::Ready | Readiness::Degraded(_) => None,
            })
            .collect()
    }

    /// How the agent's clock stands to those of publishers.
    pub(crate) async fn clocks(&self) -> Vec<ClockReading> {
        self.latest_report().await.clocks
    }

    /// What the degraded conditions say.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let conditions = self.health.conditions().into_iter();
        let troubles = conditions.filter_map(|(_, readiness)| match readiness {
            Readiness::Degraded(why) => Some(why),
            Readiness::Ready | Readiness::NotReady(_) => None,
        });
        troubles.collect()
    }

    /// The conditions that are degraded.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let conditions = self.health.conditions().into_iter();
        conditions
            .filter(|(_, readiness)| matches!(readiness, Readiness::Degraded(_)))
            .map(|(name, _)| name)
            .collect()
    }

    /// A counter or gauge of the normal lane of a cache.
    pub(crate) fn metric(&self, name: &str, cache: &str) -> u64 {
        let row = format!("purgebus_{name}{{cache=\"{cache}\",priority=\"normal\"}} ");
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(&row));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
            .expect("metrics as text");
        text
    }
}

fn report_in(bytes: &[u8]) -> Report {
    match wire::decode_board(bytes).expect("a report of ours") {
        BoardMessage::Report(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn lane_in(report: Report, cache: &str, priority: Priority) -> Option<LaneReport> {
    let cache = report.caches.into_iter().find(|found| found.cache.as_str() == cache)?;
    cache.lanes.into_iter().find(|lane| lane.priority == priority)
}
