//! Agents that a human retired: what was their last word, so that it registers nobody again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::{AgentName, PublisherName};
use uuid::Uuid;

/// Most agents remembered as retired; beyond it the longest retired are forgotten.
const RETIRED_MAX: usize = 4_096;

/// Most instances remembered of one.
const INSTANCES_MAX: usize = 64;

/// All agents that were ever retired.
#[derive(Debug, Default)]
pub(super) struct RetiredAgents {
    by_name: BTreeMap<AgentName, RetiredAgent>,
    /// No longer remembered, to be forgotten in the store.
    pub(super) forgotten: Vec<AgentName>,
}

/// One agent that was retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetiredAgent {
    /// When, on the clock of the publisher that said so.
    pub(super) at: Timestamp,
    /// The publisher that said so.
    pub(super) by: PublisherName,
    /// Its instances, each with the sequence of its last report.
    pub(super) instances: BTreeMap<Uuid, u64>,
    /// When it spoke again.
    pub(super) returned_at: Option<Timestamp>,
    /// Whether it is not stored as it stands here.
    pub(super) unstored: bool,
}

impl RetiredAgents {
    /// Takes a retirement; of one known already, what is new in it.
    pub(super) fn take(
        &mut self,
        name: &AgentName,
        at: Timestamp,
        by: PublisherName,
        instances: &[(Uuid, u64)],
    ) {
        let new = RetiredAgent {
            at,
            by: by.clone(),
            instances: BTreeMap::new(),
            returned_at: None,
            unstored: true,
        };
        let known = self.by_name.entry(name.clone()).or_insert(new);
        if at > known.at {
            (known.at, known.by, known.returned_at) = (at, by, None);
            known.unstored = true;
        }
        for (instance, sequence) in instances.iter().take(INSTANCES_MAX) {
            let last = known.instances.entry(*instance).or_insert(0);
            known.unstored |= *last < *sequence;
            *last = (*last).max(*sequence);
        }
        while known.instances.len() > INSTANCES_MAX {
            known.instances.pop_first();
        }
        self.limit();
    }

    /// Takes one back from a store.
    pub(super) fn restore(&mut self, name: AgentName, retired: RetiredAgent) {
        self.by_name.insert(name, retired);
    }

    /// Whether this report was made before its agent was retired.
    pub(super) fn covers(&self, name: &AgentName, instance: Uuid, sequence: u64) -> bool {
        let last = self.by_name.get(name).and_then(|retired| retired.instances.get(&instance));
        last.is_some_and(|last| sequence <= *last)
    }

    /// It has spoken again.
    pub(super) fn returned(&mut self, name: &AgentName, at: Timestamp) {
        if let Some(retired) = self.by_name.get_mut(name)
            && retired.returned_at.is_none()
        {
            retired.returned_at = Some(at);
            retired.unstored = true;
        }
    }

    /// What is known of one that was retired.
    pub(super) fn get(&self, name: &AgentName) -> Option<&RetiredAgent> {
        self.by_name.get(name)
    }

    /// All that were ever retired.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&AgentName, &RetiredAgent)> {
        self.by_name.iter()
    }

    /// All that were ever retired, to be stored.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&AgentName, &mut RetiredAgent)> {
        self.by_name.iter_mut()
    }

    fn limit(&mut self) {
        while self.by_name.len() > RETIRED_MAX {
            let oldest = self.by_name.iter().min_by_key(|(_, retired)| retired.at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
            self.by_name.remove(&oldest);
            self.forgotten.push(oldest);
        }
    }
}
