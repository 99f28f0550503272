//! What a publisher shows to Prometheus, but for what its tracker knows.

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
    repairs: Counter,
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
        let Self { published, refused, unforwarded, repairs } = metrics.clone();
        registry.register("purgebus_published", "Invalidations accepted", published);
        registry.register("purgebus_refused", "Requests refused, by reason", refused);
        registry.register(
            "purgebus_journal_unforwarded",
            "Invalidations in the journal that the broker does not have yet",
            unforwarded,
        );
        registry.register(
            "purgebus_repairs",
            "Frames sent again because a lane lacks them",
            repairs,
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

    /// So many invalidations wait for the broker.
    pub(crate) fn unforwarded(&self, waiting: u64) {
        self.unforwarded.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A frame was sent again.
    pub(crate) fn repaired(&self) {
        self.repairs.inc();
    }
}
