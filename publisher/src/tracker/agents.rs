//! How agents stand: announced, live, returned, doubled, gone or retired, and their clocks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{AgentCache, AgentInstance, AgentState, AgentSummary};
use schemas::{AgentName, PublisherName, Retired, Retirement};
use uuid::Uuid;

use super::Tracker;
use super::registry::{Agent, GONE_AFTER};
use super::retired::RetiredAgent;

/// So long after its return a retired agent is told as returned.
const RETURNED_FOR: SignedDuration = SignedDuration::from_hours(24);

impl Tracker {
    /// Every agent that is registered or retired, by name.
    pub(crate) fn agent_summaries(&self, now: Timestamp) -> Vec<AgentSummary> {
        let registered = self.registry.agents();
        let registered = registered.map(|(name, agent)| (name, self.summary(name, agent, now)));
        let mut agents: BTreeMap<&AgentName, AgentSummary> = registered.collect();
        for (name, retired) in self.retired_agents.iter() {
            agents.entry(name).or_insert_with(|| retired_summary(name, retired));
        }
        agents.into_values().collect()
    }

    /// One agent, if it is registered or retired.
    pub(crate) fn agent(&self, name: &AgentName, now: Timestamp) -> Option<AgentSummary> {
        let registered = self.registry.agent(name).map(|agent| self.summary(name, agent, now));
        registered.or_else(|| Some(retired_summary(name, self.retired_agents.get(name)?)))
    }

    /// What has to be said on the board so that it counts as gone for good; `None` if nobody knows it.
    pub(crate) fn agent_retirement(
        &self,
        name: &AgentName,
        by: &PublisherName,
        now: Timestamp,
    ) -> Option<Retirement> {
        let agent = self.registry.agent(name);
        let retired = self.retired_agents.get(name);
        if agent.is_none() && retired.is_none() {
            return None;
        }
        let earlier = retired.into_iter().flat_map(|retired| retired.instances.clone());
        let mut instances: BTreeMap<Uuid, u64> = earlier.collect();
        instances.extend(agent.into_iter().flat_map(Agent::instances));
        let instances = instances.into_iter().collect();
        let at = retired.filter(|_| agent.is_none()).map_or(now, |retired| retired.at);
        Some(Retirement {
            retired: Retired::Agent { name: name.clone(), instances },
            at,
            by: by.clone(),
        })
    }

    /// An agent was retired: it owes nothing any more, unless it has spoken since.
    pub(super) fn retire_agent(
        &mut self,
        name: &AgentName,
        at: Timestamp,
        by: PublisherName,
        instances: &[(Uuid, u64)],
        now: Timestamp,
    ) {
        self.retired_agents.take(name, at, by, instances);
        let Some(agent) = self.registry.agent(name) else { return };
        if self.retired_agents.covers(name, agent.latest.id, agent.latest.sequence) {
            self.registry.remove(name);
        } else {
            self.retired_agents.returned(name, now);
        }
    }

    /// Names of agents under which two live instances report.
    pub(super) fn doubled_agents(&self, now: Timestamp) -> Vec<AgentName> {
        let doubled = self
            .registry
            .agents()
            .filter(|(name, agent)| self.agent_state(name, agent, now) == AgentState::Doubled);
        doubled.map(|(name, _)| name.clone()).collect()
    }

    /// How an agent that is registered stands.
    pub(super) fn agent_state(
        &self,
        name: &AgentName,
        agent: &Agent,
        now: Timestamp,
    ) -> AgentState {
        let silence = now.duration_since(agent.heard_at().max(self.listening_since));
        let returned_at = self.retired_agents.get(name).and_then(|retired| retired.returned_at);
        if silence > GONE_AFTER {
            AgentState::Gone
        } else if agent.has_rivals() {
            AgentState::Doubled
        } else if !agent.lanes(name).any(|registered| registered.lane.ready) {
            AgentState::Announced
        } else if returned_at.is_some_and(|at| now.duration_since(at) < RETURNED_FOR) {
            AgentState::Returned
        } else {
            AgentState::Live
        }
    }

    /// How many agents stand how, and the largest distance of a live one's clock from ours, in seconds.
    pub(super) fn show_agents(&self, now: Timestamp) {
        let mut counts = BTreeMap::from(AgentState::ALL.map(|state| (state, 0)));
        let mut furthest = 0.0_f64;
        for (name, agent) in self.registry.agents() {
            let state = self.agent_state(name, agent, now);
            *counts.entry(state).or_default() += 1;
            if let Some(offset) = agent.clocks.offset().filter(|_| state != AgentState::Gone) {
                furthest = furthest.max(offset.offset_seconds.abs());
            }
        }
        let retired = self.retired_agents.iter();
        let retired = retired.filter(|(name, _)| self.registry.agent(name).is_none()).count();
        counts.insert(AgentState::Retired, retired);
        self.metrics.agents(counts);
        self.metrics.clock_offset.set(furthest);
    }

    fn summary(&self, name: &AgentName, agent: &Agent, now: Timestamp) -> AgentSummary {
        let state = self.agent_state(name, agent, now);
        let heard_at = agent.heard_at();
        let instances = [agent.latest].into_iter().chain(agent.others.iter().rev().copied());
        let caches = agent.caches.iter().map(|(cache_name, cache)| AgentCache {
            cache: cache_name.clone(),
            driver: cache.driver.clone(),
            ready: cache.lanes.values().all(|lane| lane.ready && !lane.departed),
        });
        let returned = self.retired_agents.get(name).and_then(|retired| retired.returned_at);
        AgentSummary {
            agent: name.clone(),
            region: Some(agent.region.clone()),
            state,
            since: match state {
                AgentState::Gone => Some(heard_at),
                AgentState::Returned => returned,
                _ => None,
            },
            instances: instances
                .map(|spoke| AgentInstance {
                    instance: spoke.id,
                    reported_at: Some(spoke.heard_at),
                })
                .collect(),
            caches: caches.collect(),
            reported_at: Some(heard_at),
            report_age_seconds: Some(now.duration_since(heard_at).as_secs_f64()),
            clock: agent.clocks.offset(),
            retired_by: None,
        }
    }
}

fn retired_summary(name: &AgentName, retired: &RetiredAgent) -> AgentSummary {
    let instances = retired.instances.keys();
    AgentSummary {
        agent: name.clone(),
        region: None,
        state: AgentState::Retired,
        since: Some(retired.at),
        instances: instances
            .map(|instance| AgentInstance { instance: *instance, reported_at: None })
            .collect(),
        caches: Vec::new(),
        reported_at: None,
        report_age_seconds: None,
        clock: None,
        retired_by: Some(retired.by.clone()),
    }
}
