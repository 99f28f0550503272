//! The tables: regions, caches, and what an invalidation would do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{CachePause, CacheSummary, DryRunCache, Floor, LatencyWindows, RegionSummary};
use schemas::{Ability, Audience, Invalidation, LanePause, Outcome, Region, Selector};

use super::lane::Cache;
use super::registry::Registered;
use super::scope::Scope;
use super::{KnownRegions, Tracker, count};

impl Tracker {
    /// Every region that has agents or holds a site by name.
    pub(crate) fn regions(&self, now: Timestamp) -> Vec<RegionSummary> {
        self.region_names().into_iter().map(|region| self.region(region, now)).collect()
    }

    /// Their names alone: asked with every request.
    pub(crate) fn known_regions(&mut self) -> Arc<BTreeSet<Region>> {
        let revision = Some(self.registry.revision());
        if self.known_regions.revision != revision {
            let names = Arc::new(self.region_names());
            self.known_regions = KnownRegions { revision, names };
        }
        Arc::clone(&self.known_regions.names)
    }

    fn region_names(&self) -> BTreeSet<Region> {
        let declared = self.sites.iter().filter_map(|site| match &site.regions {
            Audience::Regions(regions) => Some(regions),
            Audience::All => None,
        });
        let mut regions: BTreeSet<&Region> = declared.flatten().collect();
        regions.extend(self.registry.agents().map(|(_, agent)| &agent.region));
        regions.into_iter().cloned().collect()
    }

    /// Every lane of every cache.
    pub(crate) fn caches(&self, now: Timestamp) -> Vec<CacheSummary> {
        self.registry.lanes().map(|registered| self.cache(&registered, now)).collect()
    }

    /// What each cache in its regions would do with `invalidation`.
    pub(crate) fn dry_run(&self, invalidation: &Invalidation) -> Vec<DryRunCache> {
        let scope = Scope::of(invalidation);
        let would = |registered: Registered<'_>| DryRunCache {
            region: registered.agent.region.clone(),
            agent: registered.agent_name.clone(),
            cache: registered.cache_name.clone(),
            selectors: invalidation
                .selectors
                .iter()
                .map(|selector| would_do(registered.cache, &scope, selector).to_owned())
                .collect(),
        };
        self.registry.concerned(&scope, &self.sites).map(would).collect()
    }

    fn region(&self, region: Region, now: Timestamp) -> RegionSummary {
        let agents = || self.registry.agents().filter(|(_, agent)| agent.region == region);
        let lanes: Vec<_> = agents()
            .flat_map(|(name, agent)| agent.lanes(name))
            .map(|registered| self.cache(&registered, now))
            .collect();
        let oldest = lanes.iter().filter_map(|lane| lane.oldest_unsettled_seconds);
        let measured = self.measured.iter().find(|(measured, _)| *measured == region);
        RegionSummary {
            agents: agents().count(),
            caches: agents().map(|(_, agent)| agent.caches.len()).sum(),
            ready: !lanes.is_empty() && lanes.iter().all(|lane| lane.ready),
            lag_numbers: lanes.iter().map(|lane| lane.lag_numbers).max().unwrap_or(0),
            lag_seconds: oldest.fold(0.0, f64::max),
            applied: measured
                .map_or_else(LatencyWindows::default, |(_, latencies)| latencies.windows(now)),
            region,
        }
    }

    fn cache(&self, registered: &Registered<'_>, now: Timestamp) -> CacheSummary {
        let Registered { agent_name, agent, cache_name, cache, priority, lane } = *registered;
        let absence = self.absence(registered, now).map(|trouble| trouble.reason);
        let (lag_numbers, oldest_unsettled) = self.lag(registered, now);
        CacheSummary {
            agent: agent_name.clone(),
            region: agent.region.clone(),
            cache: cache_name.clone(),
            priority,
            driver: cache.driver.clone(),
            floors: floors(registered),
            ready: lane.ready && absence.is_none(),
            lag_numbers,
            oldest_unsettled_seconds: oldest_unsettled.map(|age| age.as_secs_f64()),
            circuit: lane.circuit,
            last_error: absence.or_else(|| lane.last_error.clone()),
            outcomes: outcomes(registered),
            abilities: cache.abilities.clone(),
            downgrades: downgrades(cache),
            paused: lane.paused.iter().filter(|pause| pause.until > now).map(paused).collect(),
            reported_at: lane.heard_at,
        }
    }

    /// Numbers that the lane has not settled, and the age of the oldest. Its agent's word is as old as its
    /// report; of our own lines we know better.
    fn lag(&self, registered: &Registered<'_>, now: Timestamp) -> (u64, Option<SignedDuration>) {
        let lane = registered.lane;
        let reported_age = lane.oldest_unsettled_us.map(|micros| {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            SignedDuration::from_micros(micros).saturating_add(now.duration_since(lane.heard_at))
        });
        let own_lines =
            self.own_lines.iter().filter(|(_, own)| own.priority == registered.priority);
        let (mut unsettled, mut oldest) = (0, reported_age);
        for (line, own) in own_lines {
            let numbers = lane.unsettled(*line, own.head);
            unsettled += numbers.iter().map(count).sum::<u64>();
            let accepted_at = numbers.first().and_then(|first| own.pending.accepted_at(first));
            oldest = oldest.max(accepted_at.map(|accepted_at| now.duration_since(accepted_at)));
        }
        let lag = unsettled.max(lane.lag);
        (lag, oldest.filter(|_| lag > 0))
    }
}

fn floors(registered: &Registered<'_>) -> Vec<Floor> {
    let lines = registered.lane.lines.iter();
    lines
        .map(|(line, known)| Floor {
            line: line.to_string(),
            base: known.base,
            applied: known.applied.floor(),
            finished: known.finished.floor(),
        })
        .collect()
}

fn outcomes(registered: &Registered<'_>) -> BTreeMap<Outcome, u64> {
    let count = |outcome| (outcome, registered.lane.outcomes.of(outcome));
    Outcome::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

fn paused(pause: &LanePause) -> CachePause {
    let LanePause { id, site, until } = pause.clone();
    CachePause { id, site, until }
}

fn downgrades(cache: &Cache) -> Vec<String> {
    let hard = cache.abilities.as_ref().filter(|abilities| !abilities.soft);
    hard.map(|_| "soft is done hard".to_owned()).into_iter().collect()
}

fn would_do(cache: &Cache, scope: &Scope, selector: &Selector) -> &'static str {
    if !cache.holds(&scope.site) {
        return "not_ours";
    }
    match cache.abilities.as_ref().map(|abilities| abilities.of(selector.kind())) {
        Some(Ability::Supported) => "purge",
        Some(Ability::Unsupported) => "unsupported",
        Some(Ability::NotHeld) => "not_ours",
        None => "unknown",
    }
}
