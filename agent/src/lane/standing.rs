//! How a lane stands, told to whoever asks: the report, the metrics, and `/health/ready`.

use std::num::NonZeroU64;
use std::time::Duration;

use daemon::Readiness;
use schemas::LaneReport;
use tokio::time::Instant;

use super::reading::Reading;
use super::{GLANCE, Lane, SHOW_EVERY};
use crate::Moment;
use crate::machine::WAITS_FOR_HUMAN;

/// Trouble with the broker that lasts so long is worth telling of a lane that is ready.
const TROUBLE_TOLD_AFTER: Duration = Duration::from_secs(10);

/// How far a lane may fall behind before that is told.
#[derive(Debug)]
pub(crate) struct Budget {
    stale: Duration,
    backlog_max: Option<NonZeroU64>,
    exceeded: bool,
}

impl Budget {
    /// It shows as degraded with an unsettled invalidation older than `stale`, and is not ready with more of them than
    /// `backlog_max`, until half of those are settled.
    pub(crate) fn new(stale: Duration, backlog_max: Option<NonZeroU64>) -> Self {
        Self { stale, backlog_max, exceeded: false }
    }

    /// Whether a lane that lags by so many now is not to be counted upon.
    fn exceed(&mut self, lag: u64) -> bool {
        let bound = |max: NonZeroU64| if self.exceeded { max.get() / 2 } else { max.get() };
        self.exceeded = self.backlog_max.is_some_and(|max| lag > bound(max));
        self.exceeded
    }
}

impl Lane {
    pub(super) fn show(&mut self, reading: &Reading) {
        let age = self.shown.map(|shown| shown.elapsed());
        // What is all settled shows before an outer lane, which goes on now, can show that it has settled more.
        let news = |age| self.unshown && (age >= SHOW_EVERY || self.machine.has_settled_all());
        let due = age.is_none_or(|age| age >= GLANCE || news(age));
        if !due {
            return;
        }
        self.shown = Some(Instant::now());
        self.unshown = false;
        let mut report = self.machine.report(self.now());
        report.ready &= !self.budget.exceed(report.lag);
        self.metrics.show(&report, self.machine.sizes());
        self.condition.set(self.readiness(&report, reading));
        self.progress.show(report, self.machine.abilities().cloned());
    }

    /// Shows to outer lanes how this one stands to flushes.
    pub(super) fn show_flushes(&mut self, now: Moment) {
        let done = self.machine.hard_flushes();
        let more = done.saturating_sub(std::mem::replace(&mut self.hard_flushes, done));
        self.progress.flushes(self.machine.flushing(now), more, &self.machine.obeyed());
    }

    fn readiness(&self, report: &LaneReport, reading: &Reading) -> Readiness {
        // What a human holds up is no reason to do without a cache that holds what it held before.
        let held_up = self.machine.is_paused() && self.machine.has_cursor();
        let not_ready = self.machine.not_ready_because();
        if let Some(mut reason) = not_ready.clone().filter(|_| !held_up) {
            let trouble = self.distrusted.trouble().or_else(|| reading.trouble(Duration::ZERO));
            if let Some(trouble) = trouble {
                reason = format!("{reason}: {trouble}");
            }
            return Readiness::NotReady(reason);
        }
        if self.budget.exceeded && !held_up {
            let error = report.last_error.as_ref().map(|error| format!(": {error}"));
            let (lag, error) = (report.lag, error.unwrap_or_default());
            return Readiness::NotReady(format!("{lag} invalidations wait for this cache{error}"));
        }
        let mut troubles: Vec<String> = self.machine.paused_because().into_iter().collect();
        troubles.extend(not_ready);
        let age = report.oldest_unsettled_us.map(Duration::from_micros);
        if let Some(age) = age.filter(|age| *age > self.budget.stale) {
            let error = report.last_error.as_ref().map(|error| format!(": {error}"));
            let seconds = age.as_secs();
            let error = error.unwrap_or_default();
            troubles.push(format!("the oldest unsettled invalidation is {seconds} s old{error}"));
        }
        if let Some(cause) = self.machine.flush_cause() {
            let held = self.machine.flush_held().map(|_| format!("; {WAITS_FOR_HUMAN}"));
            let held = held.unwrap_or_default();
            troubles.push(format!("a flush is due: {}{held}", cause.reason()));
        }
        troubles.extend(self.machine.too_many_letters());
        troubles.extend(self.distrusted.trouble());
        troubles.extend(reading.trouble(TROUBLE_TOLD_AFTER));
        if troubles.is_empty() {
            Readiness::Ready
        } else {
            Readiness::Degraded(troubles.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_clears_above_its_bound_until_half_of_it_is_settled() {
        let mut budget = Budget::new(Duration::ZERO, NonZeroU64::new(10));
        let told = [10, 11, 6, 5, 6].map(|lag| budget.exceed(lag));
        assert_eq!(told, [false, true, true, false, false]);
        let mut unbounded = Budget::new(Duration::ZERO, None);
        assert!(!unbounded.exceed(u64::MAX));
    }
}
