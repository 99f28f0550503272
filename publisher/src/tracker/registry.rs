//! Who is registered: every agent that ever reported, with its caches and lanes, until someone retires it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::{SignedDuration, Timestamp};
use schemas::{
    AgentName, CacheName, CacheReport, LineId, Place, Priority, PublisherName, Region, Report,
    Sites,
};
use uuid::Uuid;

use super::clocks::Clocks;
use super::lane::{Cache, Descent, Lane};
use super::line::{Change, News, Standing};
use super::scope::{KindAbilities, Scope};

/// An agent silent for longer is gone: reports come at least every second or so.
pub(super) const GONE_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// Most instances remembered under one name beside the latest.
const OTHERS_MAX: usize = 8;

/// All agents by name.
#[derive(Debug, Default)]
pub(super) struct Registry {
    agents: BTreeMap<AgentName, Agent>,
    revision: u64,
    /// Retired, to be removed from the store.
    pub(super) removed: Vec<AgentName>,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// Where it serves.
    pub(super) region: Region,
    /// Who spoke last under this name.
    pub(super) latest: Instance,
    /// Who else spoke under it before, the latest last.
    pub(super) others: Vec<Instance>,
    /// Its caches with their lanes.
    pub(super) caches: BTreeMap<CacheName, Cache>,
    /// How the latest one's clock stands to ours.
    pub(super) clocks: Clocks,
    /// Whether it was heard since its instances were stored.
    pub(super) unstored: bool,
}

/// One who speaks under an agent's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instance {
    /// Random, kept in its state folder.
    pub(super) id: Uuid,
    /// Of its latest report.
    pub(super) sequence: u64,
    /// When that was heard.
    pub(super) heard_at: Timestamp,
}

/// A lane with everything it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registered<'a> {
    pub(super) agent_name: &'a AgentName,
    pub(super) agent: &'a Agent,
    pub(super) cache_name: &'a CacheName,
    pub(super) cache: &'a Cache,
    pub(super) priority: Priority,
    pub(super) lane: &'a Lane,
}

impl Registry {
    /// Takes a report to the publisher `to`; answers what it settles, per priority. A report that is not newer
    /// than the latest of its instance is no news. How long one took to come counts only where it is `fresh`.
    pub(super) fn report(
        &mut self,
        report: Report,
        to: &PublisherName,
        at: Timestamp,
        fresh: bool,
    ) -> Vec<(Priority, News)> {
        let Report { agent: name, instance, sequence, region, at: made_at, caches, clocks } =
            report;
        let heard = Instance { id: instance, sequence, heard_at: at };
        let agent = match self.agents.entry(name) {
            Entry::Vacant(vacant) => {
                self.revision += 1;
                vacant.insert(Agent::new(region.clone(), heard))
            }
            Entry::Occupied(known) => {
                let agent = known.into_mut();
                if !agent.hear(heard) {
                    return Vec::new();
                }
                agent
            }
        };
        if fresh {
            let our_clock = clocks.iter().find(|reading| reading.publisher == *to);
            agent.clocks.heard(made_at, our_clock.map(|reading| reading.heard_after_us), at);
        }
        self.revision += u64::from(agent.region != region);
        agent.region = region;
        let mut news = Vec::new();
        for cache in caches {
            self.revision += u64::from(agent.report_cache(instance, cache, at, &mut news));
        }
        agent.part_from_unnamed(at);
        news
    }

    /// A line begins: whoever is registered owes it from its first number on, wherever a later life joins it.
    pub(super) fn begin_line(&mut self, line: LineId, priority: Priority, at: Timestamp) {
        let caches = self.agents.values_mut().flat_map(|agent| agent.caches.values_mut());
        for lane in caches.filter_map(|cache| cache.lanes.get_mut(&priority)) {
            lane.begin_line(line, at);
        }
    }

    /// Takes back an agent from a store.
    pub(super) fn restore(&mut self, name: AgentName, agent: Agent) {
        self.agents.insert(name, agent);
        self.revision += 1;
    }

    /// Someone retired it: it owes nothing any more.
    pub(super) fn remove(&mut self, name: &AgentName) {
        if self.agents.remove(name).is_some() {
            self.removed.push(name.clone());
            self.revision += 1;
        }
    }

    /// An agent by its name.
    pub(super) fn agent(&self, name: &AgentName) -> Option<&Agent> {
        self.agents.get(name)
    }

    /// A lane by the names of what it belongs to.
    pub(super) fn lane(
        &self,
        agent: &AgentName,
        cache: &CacheName,
        priority: Priority,
    ) -> Option<Registered<'_>> {
        let (agent_name, agent) = self.agents.get_key_value(agent)?;
        let (cache_name, cache) = agent.caches.get_key_value(cache)?;
        let lane = cache.lanes.get(&priority)?;
        Some(Registered { agent_name, agent, cache_name, cache, priority, lane })
    }

    /// A cache by its name.
    pub(super) fn cache_mut(&mut self, agent: &AgentName, cache: &CacheName) -> Option<&mut Cache> {
        self.agents.get_mut(agent)?.caches.get_mut(cache)
    }

    /// All agents.
    pub(super) fn agents(&self) -> impl Iterator<Item = (&AgentName, &Agent)> {
        self.agents.iter()
    }

    /// All agents, to be stored.
    pub(super) fn agents_mut(&mut self) -> impl Iterator<Item = (&AgentName, &mut Agent)> {
        self.agents.iter_mut()
    }

    /// Changes whenever other caches may owe something.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// All lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Registered<'_>> {
        self.agents.iter().flat_map(|(name, agent)| agent.lanes(name))
    }

    /// The lanes that an invalidation is for, by priority, region, site, agent and cache.
    pub(super) fn concerned(
        &self,
        scope: &Scope,
        sites: &Sites,
    ) -> impl Iterator<Item = Registered<'_>> {
        self.agents
            .iter()
            .filter(|(_, agent)| scope.concerns(&agent.region, sites))
            .flat_map(|(name, agent)| agent.lanes(name))
            .filter(|registered| registered.priority == scope.priority)
            .filter(|registered| scope.is_for(registered.agent_name, registered.cache_name))
    }
}

impl Agent {
    /// One without caches.
    pub(super) fn new(region: Region, latest: Instance) -> Self {
        Self {
            region,
            latest,
            others: Vec::new(),
            caches: BTreeMap::new(),
            clocks: Clocks::default(),
            unstored: true,
        }
    }

    /// Everyone who spoke under its name, with the sequence of the last report.
    pub(super) fn instances(&self) -> Vec<(Uuid, u64)> {
        let all = self.others.iter().chain([&self.latest]);
        all.map(|instance| (instance.id, instance.sequence)).collect()
    }

    /// When it was last heard.
    pub(super) fn heard_at(&self) -> Timestamp {
        self.latest.heard_at
    }

    /// Whether another instance spoke under this name shortly before the latest: whose floors are they?
    pub(super) fn has_rivals(&self) -> bool {
        let ago = |other: &Instance| self.heard_at().duration_since(other.heard_at);
        self.others.iter().any(|other| ago(other) <= GONE_AFTER)
    }

    /// Its lanes; `name` is its own.
    pub(super) fn lanes<'a>(&'a self, name: &'a AgentName) -> impl Iterator<Item = Registered<'a>> {
        self.caches.iter().flat_map(move |(cache_name, cache)| {
            cache.lanes.iter().map(move |(priority, lane)| Registered {
                agent_name: name,
                agent: self,
                cache_name,
                cache,
                priority: *priority,
                lane,
            })
        })
    }

    /// Whether this report is newer than what is known of its instance.
    fn hear(&mut self, heard: Instance) -> bool {
        if self.latest.id != heard.id {
            let known = self.others.iter().position(|other| other.id == heard.id);
            if known.is_some_and(|known| self.others[known].sequence >= heard.sequence) {
                return false;
            }
            if let Some(known) = known {
                self.others.remove(known);
            }
            self.others.push(self.latest);
            self.clocks = Clocks::default();
            self.others.drain(..self.others.len().saturating_sub(OTHERS_MAX));
        } else if self.latest.sequence >= heard.sequence {
            return false;
        }
        self.latest = heard;
        self.unstored = true;
        true
    }

    /// Takes the report of a cache; answers whether it may owe other things than before.
    fn report_cache(
        &mut self,
        instance: Uuid,
        report: CacheReport,
        at: Timestamp,
        news: &mut Vec<(Priority, News)>,
    ) -> bool {
        let new = !self.caches.contains_key(&report.cache);
        let cache = self.caches.entry(report.cache).or_default();
        let change = Change {
            before: cache.kinds(),
            after: report.abilities.as_ref().map(KindAbilities::announced).or(cache.kinds()),
        };
        let changed = new || change.before != change.after || cache.sites != report.sites;
        cache.driver = report.driver;
        cache.sites = report.sites;
        // A cache that does not answer now can still do what it could.
        cache.abilities = report.abilities.or(cache.abilities.take());
        let succeeds = !self.others.is_empty();
        for lane_report in report.lanes {
            let (priority, life) = (lane_report.priority, (instance, lane_report.life));
            let lane = cache.lanes.entry(priority).or_insert_with(|| Lane::new(life, at));
            if succeeds {
                lane.descent = Descent::Successor;
            }
            let lane_news = lane.report(instance, lane_report, change, at);
            lane.unstored |= changed;
            news.extend(lane_news.into_iter().map(|news| (priority, news)));
        }
        changed
    }

    /// Lanes that the report at `at` has not named stay registered, and are said to be missing.
    fn part_from_unnamed(&mut self, at: Timestamp) {
        let lanes = self.caches.values_mut().flat_map(|cache| cache.lanes.values_mut());
        for lane in lanes.filter(|lane| lane.heard_at != at && !lane.departed) {
            lane.departed = true;
            lane.unstored = true;
        }
    }
}

impl Registered<'_> {
    /// How it stands to the invalidation at `place`, given that its region is concerned. Nothing that an agent
    /// with rivals says counts.
    pub(super) fn standing(&self, place: Place, scope: &Scope) -> Standing {
        if !scope.is_for(self.agent_name, self.cache_name) {
            return Standing::NotOwed;
        }
        match self.lane.standing(self.cache, place, scope) {
            Standing::Settled { .. } if self.agent.has_rivals() => Standing::Owes,
            standing => standing,
        }
    }

    /// The words of the kinds that keep it from purging what is at `place`.
    pub(super) fn unsupported(&self, place: Place, scope: &Scope) -> Vec<&'static str> {
        let line = self.lane.lines.get(&place.line);
        let judged = line.and_then(|line| line.judged(place.number));
        let kinds = judged.or_else(|| self.cache.kinds());
        kinds.map(|kinds| scope.unsupported(kinds)).unwrap_or_default()
    }

    /// Whether it may owe invalidations of this scope, whatever their numbers.
    pub(super) fn may_owe(&self, scope: &Scope) -> bool {
        let unheard = Place { line: LineId::from_bytes([0; 16]), number: 1 };
        self.lane.standing(self.cache, unheard, scope) != Standing::NotOwed
    }
}
