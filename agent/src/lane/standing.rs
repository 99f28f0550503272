//! How a lane stands, told to whoever asks: the report, the metrics, and `/health/ready`.

use std::time::Duration;

use daemon::Readiness;
use schemas::LaneReport;
use schemas::wire::WireError;
use tokio::time::Instant;

use super::reading::Reading;
use super::{GLANCE, Lane, SHOW_EVERY};

/// Trouble with the broker that lasts so long is worth telling of a lane that is ready.
const TROUBLE_TOLD_AFTER: Duration = Duration::from_secs(10);

impl Lane {
    pub(super) fn show(&mut self, reading: &Reading) {
        let age = self.shown.map(|shown| shown.elapsed());
        let due = age.is_none_or(|age| age >= GLANCE || self.unshown && age >= SHOW_EVERY);
        if !due {
            return;
        }
        self.shown = Some(Instant::now());
        self.unshown = false;
        let report = self.machine.report(self.now());
        self.metrics.show(&report, self.machine.sizes());
        self.condition.set(self.readiness(&report, reading));
        self.progress.show(report, self.machine.abilities().cloned());
    }

    fn readiness(&self, report: &LaneReport, reading: &Reading) -> Readiness {
        if let Some(mut reason) = self.machine.not_ready_because() {
            if let Some(trouble) = reading.trouble(Duration::ZERO) {
                reason = format!("{reason}: {trouble}");
            }
            return Readiness::NotReady(reason);
        }
        let mut troubles = Vec::new();
        let age = report.oldest_unsettled_us.map(Duration::from_micros);
        if let Some(age) = age.filter(|age| *age > self.stale_budget) {
            let error = report.last_error.as_ref().map(|error| format!(": {error}"));
            let seconds = age.as_secs();
            let error = error.unwrap_or_default();
            troubles.push(format!("the oldest unsettled invalidation is {seconds} s old{error}"));
        }
        if let Some(cause) = self.machine.flush_cause() {
            troubles.push(format!("a flush is due: {}", cause.reason()));
        }
        troubles.extend(reading.trouble(TROUBLE_TOLD_AFTER));
        if troubles.is_empty() {
            Readiness::Ready
        } else {
            Readiness::Degraded(troubles.join("; "))
        }
    }
}

/// The word in metrics for a message that was not understood.
pub(super) fn word(error: &WireError) -> &'static str {
    match error {
        WireError::Malformed(_) => "malformed",
        WireError::Unknown { .. } => "unknown",
        WireError::Invalid(_) => "invalid",
    }
}
