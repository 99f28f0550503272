//! What the ports of a process show to Prometheus.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The connections of all ports of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PortsMetrics {
    open: Family<PortLabels, Gauge>,
    refused: Family<RefusedLabels, Counter>,
}

/// The connections of one port. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PortMetrics {
    port: &'static str,
    pub(super) open: Gauge<i64, AtomicI64>,
    refused: Family<RefusedLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    port: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    port: &'static str,
    reason: &'static str,
}

impl PortsMetrics {
    /// Registered under their full names. Once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { open, refused } = metrics.clone();
        registry.register("purgebus_connections", "Connections that are open", open);
        registry.register(
            "purgebus_connections_refused",
            "Connections refused or cut off, by reason",
            refused,
        );
        metrics
    }

    /// Those of the port that this key of the configuration names.
    pub fn port(&self, port: &'static str) -> PortMetrics {
        let open = self.open.get_or_create(&PortLabels { port }).clone();
        PortMetrics { port, open, refused: self.refused.clone() }
    }
}

impl PortMetrics {
    pub(super) fn refused(&self, reason: &'static str) {
        let labels = RefusedLabels { port: self.port, reason };
        self.refused.get_or_create(&labels).inc();
    }
}

impl Default for PortMetrics {
    /// Of a port that nobody counts.
    fn default() -> Self {
        PortsMetrics::default().port("")
    }
}
