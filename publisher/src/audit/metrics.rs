//! What the trail shows to Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The trail's metrics. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditMetrics {
    pub(super) lines: Counter,
    pub(super) lost: Counter,
    pub(super) failures: Counter,
}

impl AuditMetrics {
    /// Registered under their full names.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { lines, lost, failures } = metrics.clone();
        registry.register("purgebus_audit_lines", "Lines of the audit trail written", lines);
        registry.register(
            "purgebus_audit_lost",
            "Lines of the audit trail that could not be written; the trail tells how many",
            lost,
        );
        registry.register(
            "purgebus_audit_failures",
            "Times that the audit trail could not be written; it is tried again",
            failures,
        );
        metrics
    }
}
