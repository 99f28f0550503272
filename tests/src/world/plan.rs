//! What a world consists of, said fluently.

use std::time::Duration;

use agent::LaneConfig;
use broker_adapter::Misbehaviour;
use bytesize::ByteSize;
use schemas::Ability;

use super::World;

/// A world to be.
#[derive(Debug)]
pub struct Plan {
    pub(super) seed: u64,
    pub(super) pages: usize,
    pub(super) longest_fetch: Duration,
    pub(super) reads_every: Duration,
    pub(super) misbehaviour: Option<Misbehaviour>,
    pub(super) changes: bool,
    pub(super) journal_on_disk: bool,
    pub(super) journal_bytes: ByteSize,
    pub(super) regions: Vec<RegionPlan>,
}

/// A region to be.
#[derive(Debug)]
pub struct RegionPlan {
    pub(super) name: String,
    pub(super) agents: Vec<AgentPlan>,
}

/// An agent to be.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    pub(super) name: String,
    pub(super) caches: Vec<CachePlan>,
}

/// A cache to be.
#[derive(Debug, Clone)]
pub struct CachePlan {
    pub(super) name: String,
    pub(super) fills_from: Option<String>,
    pub(super) lane: LaneConfig,
    pub(super) rebounds: Vec<Duration>,
    pub(super) prefixes: Ability,
}

impl World {
    /// Begins to plan a world; the same seed makes the same mischief.
    pub fn seeded(seed: u64) -> Plan {
        Plan {
            seed,
            pages: 8,
            longest_fetch: Duration::from_millis(900),
            reads_every: Duration::from_millis(200),
            misbehaviour: None,
            changes: false,
            journal_on_disk: false,
            journal_bytes: ByteSize::gib(4),
            regions: Vec::new(),
        }
    }
}

impl Plan {
    /// A region with its agents.
    #[must_use]
    pub fn region(mut self, name: &str, plan: impl FnOnce(RegionPlan) -> RegionPlan) -> Self {
        self.regions.push(plan(RegionPlan { name: name.to_owned(), agents: Vec::new() }));
        self
    }

    /// As many pages, half of them below `/blog`, half below `/shop`.
    #[must_use]
    pub fn pages(mut self, count: usize) -> Self {
        self.pages = count;
        self
    }

    /// A fetch from the origin takes up to so long.
    #[must_use]
    pub fn longest_fetch(mut self, longest_fetch: Duration) -> Self {
        self.longest_fetch = longest_fetch;
        self
    }

    /// Every cache is read about so often.
    #[must_use]
    pub fn reads_every(mut self, reads_every: Duration) -> Self {
        self.reads_every = reads_every;
        self
    }

    /// The log lies apart from the publisher, at a broker where it can be changed.
    #[must_use]
    pub fn on_a_log_that_changes(mut self) -> Self {
        self.changes = true;
        self
    }

    /// The log lies apart from the publisher, at a broker that misbehaves.
    #[must_use]
    pub fn misbehaving(mut self, misbehaviour: Misbehaviour) -> Self {
        self.misbehaviour = Some(misbehaviour);
        self
    }
}

impl Plan {
    /// The journal lies in a folder that can be copied.
    #[must_use]
    pub fn journal_on_disk(mut self) -> Self {
        self.journal_on_disk = true;
        self
    }

    /// The journal keeps so much at most.
    #[must_use]
    pub fn journal_bytes(mut self, bytes: ByteSize) -> Self {
        self.journal_bytes = bytes;
        self
    }
}

impl RegionPlan {
    /// An agent with its caches.
    #[must_use]
    pub fn agent(mut self, name: &str, plan: impl FnOnce(AgentPlan) -> AgentPlan) -> Self {
        self.agents.push(plan(AgentPlan { name: name.to_owned(), caches: Vec::new() }));
        self
    }

    /// An agent of one cache, `web`.
    #[must_use]
    pub fn edge(self, name: &str) -> Self {
        self.agent(name, |agent| agent.cache("web"))
    }
}

impl AgentPlan {
    /// A cache in front of the origin.
    #[must_use]
    pub fn cache(self, name: &str) -> Self {
        self.cache_with(name, |cache| cache)
    }

    /// A cache in front of another of this agent, and purged after it.
    #[must_use]
    pub fn cache_after(self, name: &str, inner: &str) -> Self {
        self.cache_with(name, |cache| cache.fills_from(inner).after(inner))
    }

    /// A cache of some kind of its own.
    #[must_use]
    pub fn cache_with(mut self, name: &str, plan: impl FnOnce(CachePlan) -> CachePlan) -> Self {
        self.caches.push(plan(CachePlan {
            name: name.to_owned(),
            fills_from: None,
            lane: LaneConfig { flush_spread: Duration::from_secs(5), ..LaneConfig::default() },
            rebounds: [1, 11, 65].map(Duration::from_secs).to_vec(),
            prefixes: Ability::Supported,
        }));
        self
    }
}

impl CachePlan {
    /// It fetches from `inner` what it lacks.
    #[must_use]
    pub fn fills_from(mut self, inner: &str) -> Self {
        self.fills_from = Some(inner.to_owned());
        self
    }

    /// It is purged after `inner`.
    ///
    /// # Panics
    /// When that is no name.
    #[must_use]
    pub fn after(mut self, inner: &str) -> Self {
        self.lane.after = Some(inner.parse().expect("a name"));
        self
    }

    /// So many selectors are held in memory for its later passes; the log is read again for more.
    #[must_use]
    pub fn holds(mut self, selectors: usize) -> Self {
        self.lane.rebound_selectors = selectors;
        self
    }

    /// It is purged again after these times.
    #[must_use]
    pub fn passes(mut self, seconds: &[u64]) -> Self {
        self.rebounds = seconds.iter().copied().map(Duration::from_secs).collect();
        self
    }

    /// Holds pages by prefix but cannot purge them so.
    #[must_use]
    pub fn without_prefixes(mut self) -> Self {
        self.prefixes = Ability::Unsupported;
        self
    }
}
