//! Readiness as a set of named conditions, each owned by the part that knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// What one condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// All is well.
    Ready,
    /// It works, but someone should look.
    Degraded(String),
    /// Do not send traffic, and why.
    NotReady(String),
}

/// All conditions of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<RwLock<Conditions>>);

#[derive(Debug, Default)]
struct Conditions {
    made: u64,
    /// By when they were made.
    all: BTreeMap<u64, (String, Readiness)>,
}

/// One named condition; whoever holds it sets it, and with the holder it is gone.
pub struct Condition {
    health: Health,
    made: u64,
}

impl Health {
    /// A new condition, not ready until it is set.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let mut conditions = self.0.write();
        conditions.made += 1;
        let made = conditions.made;
        conditions.all.insert(made, (name.into(), Readiness::NotReady("starting".to_owned())));
        Condition { health: self.clone(), made }
    }

    /// Every condition with its name.
    pub fn conditions(&self) -> Vec<(String, Readiness)> {
        self.0.read().all.values().cloned().collect()
    }

    /// Whether no condition is `NotReady`.
    pub fn ready(&self) -> bool {
        let conditions = self.0.read();
        !conditions.all.values().any(|(_, readiness)| matches!(readiness, Readiness::NotReady(_)))
    }

    /// Shows [`Health::ready`] as the gauge `purgebus_ready`. Once per registry.
    pub fn register(&self, metrics: &mut Registry) {
        metrics.register_collector(Box::new(ReadyGauge(self.clone())));
    }
}

/// Asks at every scrape, so that it cannot differ from `/health/ready`.
#[derive(Debug)]
struct ReadyGauge(Health);

impl Collector for ReadyGauge {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let gauge = ConstGauge::new(i64::from(self.0.ready()));
        let help = "1 while the process is ready, else 0";
        gauge.encode(encoder.encode_descriptor(
            "purgebus_ready",
            help,
            None,
            gauge.metric_type(),
        )?)
    }
}

impl Condition {
    /// Says how it stands.
    pub fn set(&self, readiness: Readiness) {
        if let Some((_, said)) = self.health.0.write().all.get_mut(&self.made) {
            *said = readiness;
        }
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.health.0.write().all.remove(&self.made);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.health.0.read().all.get(&self.made)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_be_set_before_the_process_is_ready() {
        let health = Health::default();
        let (broker, lane) = (health.condition("broker"), health.condition("lane"));
        broker.set(Readiness::Ready);
        assert!(!health.ready());
        lane.set(Readiness::Degraded("slow".to_owned()));
        assert!(health.ready(), "degraded still takes traffic");
        broker.set(Readiness::NotReady("gone".to_owned()));
        assert!(!health.ready());
        drop(broker);
        let left = vec![("lane".to_owned(), Readiness::Degraded("slow".to_owned()))];
        assert_eq!(health.conditions(), left, "what is no more says nothing");
    }
}
