//! Turns what the tracker folds into events: most at once, from the report that completes an invalidation; the rest
//! within a sweep or two, each second, over what is not final and over the caches.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{CacheEvent, Clock, FlushEvent, Missing, ProgressState};
use schemas::{
    AgentName, CacheName, CircuitState, Frame, Invalidation, LineId, Outcome, Place, Priority,
};

use super::events::{EventBatch, Happening, Step, Subject};
use super::measuring::Awaiting;
use super::pending::{Milestone, Pending, Stage, Swept};
use super::registry::Registered;
use super::scope::Scope;
use super::{OwnLine, Tracker};

/// Reports tell of most invalidations; what has not come on by then is looked at.
const SWEPT_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// About so many times a lane is asked how it stands to an invalidation, per sweep.
const SWEEP_COST: usize = 20_000;

/// Most invalidations swept at once.
const SWEPT_MAX: usize = 1_000;

/// Most reasons in an event.
const MISSING_MAX: usize = 16;

/// Most lines of other publishers whose invalidations are told.
const HEARD_LINES_MAX: usize = 256;

/// What of a cache was told.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheTold {
    /// Whether it was up.
    up: Option<bool>,
    /// What each of its lanes had flushed.
    flushed: [Option<u64>; Priority::ALL.len()],
}

/// A cache as it stands now.
struct CacheNow {
    agent: AgentName,
    cache: CacheName,
    told: CacheTold,
    happened: Vec<Happening>,
}

impl Tracker {
    /// Events from a number on.
    pub(crate) fn events_from(&self, from: u64, max: usize) -> EventBatch {
        self.events.from(from, max, &self.sites)
    }

    /// The number of the next event.
    pub(crate) fn next_event(&self) -> u64 {
        self.events.next()
    }

    /// Another publisher's frame has come.
    pub(crate) fn heard(&mut self, frame: &Frame) {
        if self.own_lines.contains_key(&frame.line) {
            return;
        }
        for (number, invalidation) in (frame.first..).zip(&frame.invalidations) {
            let (scope, awaited) = self.awaited(Scope::of(invalidation));
            let accepted_at = invalidation.accepted_at;
            let Invalidation { id, origin, .. } = *invalidation;
            let subject = Subject { id, scope, accepted_at, clock: Clock::Two, origin };
            let line = self.heard_line(frame.line, invalidation.priority, accepted_at);
            if number > line.head {
                line.head = number;
                line.pending.accepted(number, subject.clone(), awaited);
                self.events.push(Happening::Invalidation { subject, what: Step::Published });
            }
        }
    }

    /// Tells what a report has completed.
    pub(super) fn tell_reached(&mut self, reached: Vec<Milestone>, at: Timestamp) {
        for Milestone { subject, stage } in reached {
            let what = match stage {
                Stage::Applied => Step::Applied(at),
                Stage::Final => Step::Final(at),
            };
            self.events.push(Happening::Invalidation { subject, what });
        }
    }

    /// Looks for what no report has told: invalidations that are blocked, or complete because someone was retired;
    /// caches that came or went.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.heard_lines.retain(|_, line| {
            line.pending.forget_old(now);
            !line.pending.is_empty() || now.duration_since(line.since) < super::latency::LONGEST
        });
        self.sweep_invalidations(now);
        self.sweep_caches(now);
    }

    fn sweep_invalidations(&mut self, now: Timestamp) {
        let lanes = self.registry.lanes().count().max(1);
        let mut left = (SWEEP_COST / lanes).clamp(1, SWEPT_MAX);
        let accepted_before = now.checked_sub(SWEPT_AFTER).unwrap_or(Timestamp::MIN);
        let mut swept: Vec<(LineId, Swept)> = Vec::new();
        for (line, known) in self.own_lines.iter_mut().chain(&mut self.heard_lines) {
            let some = known.pending.sweep(accepted_before, left);
            left -= some.len();
            swept.extend(some.into_iter().map(|swept| (*line, swept)));
        }
        for (line, Swept { number, scope }) in swept {
            let place = Place { line, number };
            let (state, missing) = self.judge(place, &scope, now, MISSING_MAX);
            let Some(pending) = self.pending_of(line) else { continue };
            match state {
                ProgressState::Blocked => self.tell_blocked(place, missing, now),
                ProgressState::Applied => {
                    let reached = pending.tell(number, Stage::Applied);
                    self.tell_reached(reached, now);
                }
                ProgressState::Final => {
                    let reached = pending.tell(number, Stage::Final);
                    self.tell_reached(reached, now);
                }
                ProgressState::Published | ProgressState::NoAgents => {}
            }
        }
    }

    fn tell_blocked(&mut self, place: Place, missing: Vec<Missing>, now: Timestamp) {
        let pending = self.pending_of(place.line);
        let Some(subject) = pending.and_then(|pending| pending.block(place.number)) else { return };
        let what = Step::Blocked(now, missing.into());
        self.events.push(Happening::Invalidation { subject, what });
    }

    fn sweep_caches(&mut self, now: Timestamp) {
        let caches: Vec<CacheNow> = self
            .registry
            .agents()
            .flat_map(|(agent, known)| known.caches.keys().map(move |cache| (agent, known, cache)))
            .filter_map(|(agent, known, cache)| {
                let lanes: Vec<_> =
                    known.lanes(agent).filter(|lane| lane.cache_name == cache).collect();
                self.cache_now(&lanes, now)
            })
            .collect();
        for CacheNow { agent, cache, told, happened } in caches {
            if let Some(known) = self.registry.cache_mut(&agent, &cache) {
                known.told = told;
            }
            for happening in happened {
                self.events.push(happening);
            }
        }
    }

    /// What is to be told of a cache; `None` where nothing has changed.
    fn cache_now(&self, lanes: &[Registered<'_>], now: Timestamp) -> Option<CacheNow> {
        let Registered { agent_name, agent, cache_name, cache, .. } = *lanes.first()?;
        let mut told = cache.told.clone();
        let mut happened = Vec::new();
        let changed = &mut false;
        for known in lanes {
            let flushed = &mut told.flushed[usize::from(known.priority == Priority::Normal)];
            let count = known.lane.outcomes.of(Outcome::Flushed);
            let before = flushed.replace(count);
            *changed |= before != Some(count);
            // A count that fell is that of a new process.
            let numbers = before.map_or(0, |before| count.checked_sub(before).unwrap_or(count));
            if numbers > 0 {
                happened.push(Happening::Flush(Arc::new(FlushEvent {
                    at: now,
                    region: agent.region.clone(),
                    agent: agent_name.clone(),
                    cache: cache_name.clone(),
                    priority: known.priority,
                    numbers,
                })));
            }
        }
        let reason = lanes.iter().find_map(|lane| self.down(lane, now));
        let up = reason.is_none();
        if told.up != Some(up) {
            *changed = true;
            let first = told.up.replace(up).is_none();
            let event = Arc::new(CacheEvent {
                at: now,
                region: agent.region.clone(),
                agent: agent_name.clone(),
                cache: cache_name.clone(),
                reason,
            });
            // One that begins is down until it has caught up: nothing has happened to it.
            match (up, first) {
                (true, _) => happened.push(Happening::CacheUp(event)),
                (false, false) => happened.push(Happening::CacheDown(event)),
                (false, true) => {}
            }
        }
        let (agent, cache) = (agent_name.clone(), cache_name.clone());
        changed.then_some(CacheNow { agent, cache, told, happened })
    }

    /// Why a lane does not purge.
    fn down(&self, registered: &Registered<'_>, now: Timestamp) -> Option<String> {
        let lane = registered.lane;
        let error = || lane.last_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        if let Some(absence) = self.absence(registered, now) {
            Some(absence.reason)
        } else if lane.circuit == CircuitState::Open {
            Some(format!("circuit open{}", error()))
        } else if !lane.ready {
            Some(format!("it has not caught up{}", error()))
        } else {
            None
        }
    }

    fn pending_of(&mut self, line: LineId) -> Option<&mut Pending> {
        let own = self.own_lines.get_mut(&line);
        let known = own.or_else(|| self.heard_lines.get_mut(&line));
        known.map(|line| &mut line.pending)
    }

    fn heard_line(&mut self, line: LineId, priority: Priority, at: Timestamp) -> &mut OwnLine {
        if !self.heard_lines.contains_key(&line) && self.heard_lines.len() >= HEARD_LINES_MAX {
            let oldest = self.heard_lines.iter().min_by_key(|(_, heard)| heard.since);
            if let Some(oldest) = oldest.map(|(line, _)| *line) {
                self.heard_lines.remove(&oldest);
            }
        }
        let heard = self.heard_lines.entry(line).or_insert_with(|| OwnLine {
            priority,
            since: at,
            head: 0,
            pending: Pending::of_another(),
            awaiting: Awaiting::new(),
            stored: true,
        });
        heard.since = heard.since.max(at);
        heard
    }
}
