//! How far an invalidation has come: which lanes owe it, what they did, when, and how regions add up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemas::api::{
    CacheProgress, Clock, InvalidationFacts, Missing, Progress, ProgressState, RegionProgress,
};
use schemas::{Invalidation, LineId, Outcome, Place, Region, Selector, SelectorKind};

use super::Tracker;
use super::line::Standing;
use super::pending::milliseconds;
use super::registry::Registered;
use super::scope::Scope;
use super::trouble::Trouble;

/// A lane that owes an invalidation.
struct Owing<'a> {
    registered: Registered<'a>,
    outcome: Option<Outcome>,
    settled_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    reached: Reached,
    trouble: Option<Trouble>,
}

/// How far a lane, a region or all regions have come, and when they came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    state: ProgressState,
    applied_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl Tracker {
    /// How far the invalidation at `place` has come.
    pub(crate) fn progress(
        &self,
        place: Place,
        invalidation: &Invalidation,
        now: Timestamp,
    ) -> Progress {
        self.progress_of(place, &Scope::of(invalidation), facts(invalidation), now)
    }

    /// How far what these facts are about has come.
    pub(super) fn progress_of(
        &self,
        place: Place,
        scope: &Scope,
        facts: InvalidationFacts,
        now: Timestamp,
    ) -> Progress {
        let accepted_at = facts.published_at;
        let since_accepted = |at: Timestamp| milliseconds(accepted_at, at);
        let lanes = self.lanes_owing(place, scope, now);
        let (reached, regions): (Vec<Reached>, Vec<RegionProgress>) = self
            .regions_of(scope, &lanes)
            .iter()
            .map(|at| in_region(at, &lanes, accepted_at))
            .unzip();
        let reached = Reached::together(&reached);
        Progress {
            facts,
            state: reached.state,
            applied_at: reached.applied_at,
            applied_ms: reached.applied_at.map(since_accepted),
            final_at: reached.finished_at,
            final_ms: reached.finished_at.map(since_accepted),
            clock: if self.is_own(place.line) { Clock::One } else { Clock::Two },
            clock_bound_ms: self.clock_bound(place.line).map(|bound| bound.as_millis_f64()),
            missing: lanes.iter().filter_map(Owing::missing).collect(),
            regions,
            replays: Vec::new(),
        }
    }

    /// Whether this publisher numbers, or numbered, that line.
    pub(super) fn is_own(&self, line: LineId) -> bool {
        self.own_lines.contains_key(&line)
    }

    fn clock_bound(&self, line: LineId) -> Option<SignedDuration> {
        if self.is_own(line) { None } else { self.publishers.too_long(line) }
    }

    /// How far the invalidation of that scope at `place` has come, and at most `missing_max` of who is not there.
    pub(super) fn judge(
        &self,
        place: Place,
        scope: &Scope,
        now: Timestamp,
        missing_max: usize,
    ) -> (ProgressState, Vec<Missing>) {
        let lanes = self.lanes_owing(place, scope, now);
        let regions = self.regions_of(scope, &lanes);
        let reached: Vec<Reached> =
            regions.iter().map(|region| together_in(region, &lanes)).collect();
        let missing = lanes.iter().filter_map(Owing::missing).take(missing_max);
        (Reached::together(&reached).state, missing.collect())
    }

    fn lanes_owing(&self, place: Place, scope: &Scope, now: Timestamp) -> Vec<Owing<'_>> {
        self.registry
            .concerned(scope, &self.sites)
            .filter_map(|registered| {
                let standing = registered.standing(place, scope);
                let trouble = self.trouble(&registered, standing, place, scope, now);
                Owing::of(registered, standing, place, trouble)
            })
            .collect()
    }

    /// The regions it is for: those named, else those where someone owes it.
    fn regions_of(&self, scope: &Scope, lanes: &[Owing<'_>]) -> BTreeSet<Region> {
        let owing = || lanes.iter().map(|lane| lane.registered.agent.region.clone()).collect();
        scope.named_regions(&self.sites).map_or_else(owing, BTreeSet::from_iter)
    }
}

fn in_region(
    region: &Region,
    lanes: &[Owing<'_>],
    accepted_at: Timestamp,
) -> (Reached, RegionProgress) {
    let here = || lanes.iter().filter(|lane| lane.registered.agent.region == *region);
    let reached = together_in(region, lanes);
    let progress = RegionProgress {
        region: region.clone(),
        state: reached.state,
        applied_ms: reached.applied_at.map(|at| milliseconds(accepted_at, at)),
        caches: here().map(|lane| lane.shown(accepted_at)).collect(),
    };
    (reached, progress)
}

fn together_in(region: &Region, lanes: &[Owing<'_>]) -> Reached {
    let here = lanes.iter().filter(|lane| lane.registered.agent.region == *region);
    Reached::together(&here.map(|lane| lane.reached).collect::<Vec<_>>())
}

impl<'a> Owing<'a> {
    /// `None` where the lane does not owe it.
    fn of(
        registered: Registered<'a>,
        standing: Standing,
        place: Place,
        trouble: Option<Trouble>,
    ) -> Option<Self> {
        let line = registered.lane.lines.get(&place.line);
        let (outcome, finished) = match standing {
            Standing::NotOwed => return None,
            Standing::Owes => (None, false),
            Standing::Settled { outcome, finished } => (Some(outcome), finished),
        };
        // What lies below its base counts from its flush, whose time nobody reports.
        let time = line.filter(|line| outcome.is_some() && place.number > line.base);
        let settled_at = time.and_then(|line| line.applied.time(place.number));
        let finished_at = time.and_then(|line| line.finished.time(place.number));
        let state = match &trouble {
            None if finished => ProgressState::Final,
            None => ProgressState::Applied,
            Some(trouble) if trouble.blocks => ProgressState::Blocked,
            Some(_) => ProgressState::Published,
        };
        let reached = Reached { state, applied_at: settled_at, finished_at };
        Some(Self { registered, outcome, settled_at, finished_at, reached, trouble })
    }

    fn shown(&self, accepted_at: Timestamp) -> CacheProgress {
        let since_accepted = |at: Timestamp| milliseconds(accepted_at, at);
        CacheProgress {
            agent: self.registered.agent_name.clone(),
            cache: self.registered.cache_name.clone(),
            outcome: self.outcome,
            settled_ms: self.settled_at.map(since_accepted),
            final_ms: self.finished_at.map(since_accepted),
            error: self.trouble.as_ref().and_then(Trouble::error),
        }
    }

    fn missing(&self) -> Option<Missing> {
        let trouble = self.trouble.as_ref()?;
        Some(Missing {
            region: self.registered.agent.region.clone(),
            agent: self.registered.agent_name.clone(),
            cache: self.registered.cache_name.clone(),
            reason: trouble.reason.clone(),
            since: trouble.since,
        })
    }
}

impl Reached {
    /// What several have reached together: what the last of them has. Those without agents do not count,
    /// and alone they never come to `applied`.
    fn together(parts: &[Self]) -> Self {
        let counting = || parts.iter().filter(|part| part.state != ProgressState::NoAgents);
        let all = |states: &[ProgressState]| counting().all(|part| states.contains(&part.state));
        let state = if counting().next().is_none() {
            ProgressState::NoAgents
        } else if counting().any(|part| part.state == ProgressState::Blocked) {
            ProgressState::Blocked
        } else if all(&[ProgressState::Final]) {
            ProgressState::Final
        } else if all(&[ProgressState::Applied, ProgressState::Final]) {
            ProgressState::Applied
        } else {
            ProgressState::Published
        };
        // A time is known when every part's is.
        let last = |time: fn(&Self) -> Option<Timestamp>| {
            counting().map(time).collect::<Option<Vec<_>>>()?.into_iter().max()
        };
        let (applied, finished) = match state {
            ProgressState::Final => (true, true),
            ProgressState::Applied => (true, false),
            _ => (false, false),
        };
        Self {
            state,
            applied_at: last(|part| part.applied_at).filter(|_| applied),
            finished_at: last(|part| part.finished_at).filter(|_| finished),
        }
    }
}

fn facts(invalidation: &Invalidation) -> InvalidationFacts {
    InvalidationFacts {
        id: invalidation.id,
        site: invalidation.site.clone(),
        published_at: invalidation.accepted_at,
        mode: invalidation.mode,
        priority: invalidation.priority,
        selectors: count_by_kind(&invalidation.selectors),
        origin: invalidation.origin,
    }
}

/// How many there are of each kind, by the words of the API.
pub(crate) fn count_by_kind(selectors: &[Selector]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for selector in selectors {
        let plural = match selector.kind() {
            SelectorKind::Url | SelectorKind::UrlAnyQuery => "urls",
            SelectorKind::Prefix => "prefixes",
            SelectorKind::Tag => "tags",
            SelectorKind::Key => "keys",
            SelectorKind::Everything => "everything",
        };
        *counts.entry(plural.to_owned()).or_default() += 1;
    }
    counts
}
