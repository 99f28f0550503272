//! What a publisher shows to Prometheus, but for what its tracker knows.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use schemas::{Priority, SiteName};

/// The publisher's metrics. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    published: Family<PublishedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    unforwarded: Gauge,
    oldest_unforwarded: Gauge<f64, AtomicU64>,
    not_taken: Family<RefusedLabels, Counter>,
    repairs: Counter,
    lost: Counter,
    replayed: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishedLabels {
    site: String,
    priority: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

impl Metrics {
    /// Registered under their full names.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { published, refused, unforwarded, .. } = metrics.clone();
        let Self { oldest_unforwarded, not_taken, repairs, lost, replayed, .. } = metrics.clone();
        registry.register("purgebus_published", "Invalidations accepted", published);
        registry.register("purgebus_refused", "Requests refused, by reason", refused);
        registry.register(
            "purgebus_journal_unforwarded",
            "Invalidations in the journal that the broker does not have yet",
            unforwarded,
        );
        registry.register(
            "purgebus_journal_oldest_unforwarded_seconds",
            "Age of the oldest invalidation that the broker does not have yet; 0 if it has all",
            oldest_unforwarded,
        );
        registry.register(
            "purgebus_forward_failures",
            "Batches of frames that the broker did not take, by reason; each is tried again",
            not_taken,
        );
        registry.register(
            "purgebus_repairs",
            "Frames sent again because a lane lacks them",
            repairs,
        );
        registry.register(
            "purgebus_lost_numbers",
            "Numbers that a lane lacks and nobody has any more; whoever lacks them flushes",
            lost,
        );
        registry.register(
            "purgebus_replayed",
            "Invalidations published again by replays",
            replayed,
        );
        metrics
    }

    /// An invalidation was accepted.
    pub(crate) fn published(&self, site: &SiteName, priority: Priority) {
        let labels = PublishedLabels { site: site.to_string(), priority: priority.as_str() };
        self.published.get_or_create(&labels).inc();
    }

    /// A request was refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// So many invalidations wait for the broker, the oldest for so long.
    pub(crate) fn unforwarded(&self, waiting: u64, oldest: Duration) {
        self.unforwarded.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.oldest_unforwarded.set(oldest.as_secs_f64());
    }

    /// The broker did not take some frames.
    pub(crate) fn not_taken(&self, reason: &'static str) {
        self.not_taken.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// So many frames were sent again.
    pub(crate) fn repaired(&self, frames: u64) {
        self.repairs.inc_by(frames);
    }

    /// So many were published again.
    pub(crate) fn replayed(&self, invalidations: u64) {
        self.replayed.inc_by(invalidations);
    }

    /// So many numbers were said to be lost.
    pub(crate) fn lost(&self, numbers: u64) {
        self.lost.inc_by(numbers);
    }
}
