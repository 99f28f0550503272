//! Readiness as a set of named conditions, each owned by the part that knows it.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

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
pub struct Health(Arc<RwLock<Vec<(String, Readiness)>>>);

/// One named condition; whoever holds it sets it.
pub struct Condition {
    health: Health,
    at: usize,
}

impl Health {
    /// A new condition, not ready until it is set.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let mut conditions = self.0.write();
        conditions.push((name.into(), Readiness::NotReady("starting".to_owned())));
        Condition { health: self.clone(), at: conditions.len() - 1 }
    }

    /// Every condition with its name.
    pub fn conditions(&self) -> Vec<(String, Readiness)> {
        self.0.read().clone()
    }

    /// Whether no condition is `NotReady`.
    pub fn ready(&self) -> bool {
        !self.0.read().iter().any(|(_, readiness)| matches!(readiness, Readiness::NotReady(_)))
    }
}

impl Condition {
    /// Says how it stands.
    pub fn set(&self, readiness: Readiness) {
        self.health.0.write()[self.at].1 = readiness;
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.health.0.read()[self.at]).finish()
    }
}
