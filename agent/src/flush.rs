//! The flush of a lane that cannot know what it missed: everything of its sites, then once more after the last delay.

use std::time::Duration;

use schemas::{Flushed, LineId, Number, NumberRange, SiteName};

use crate::Moment;

/// Why a lane flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// It has no cursor: whatever the cache holds may be stale.
    NoCursor,
    /// Numbers are lost, or were missing for too long.
    Hole,
    /// The configuration has more sites, other templates or another region than the cursor.
    Configuration,
}

impl Cause {
    /// The word for it in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoCursor => "no_cursor",
            Self::Hole => "hole",
            Self::Configuration => "configuration",
        }
    }

    /// The same in words for people.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoCursor => "there is no cursor",
            Self::Hole => "invalidations were lost on their way",
            Self::Configuration => "the configuration has changed",
        }
    }
}

/// What is to be flushed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Why.
    pub(crate) cause: Cause,
    /// Which sites.
    pub(crate) sites: Vec<SiteName>,
}

/// Where a flush stands.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    Scheduled { at: Moment, plan: Plan },
    Purging { id: u64, plan: Plan, sites_left: usize, heads: Vec<(LineId, Number)> },
}

/// A flush that has begun; what it makes up for is final after its last pass.
#[derive(Debug)]
struct LastPass {
    id: u64,
    cause: Cause,
    sites: Vec<SiteName>,
    sites_left: usize,
    numbers: Vec<(LineId, NumberRange)>,
}

/// The flushes of one lane: at most one under way, and those that wait for their last pass.
#[derive(Debug)]
pub(crate) struct Flush {
    state: State,
    next_id: u64,
    last_passes: Vec<LastPass>,
}

/// How long a flush that the cache refused waits before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

impl Flush {
    /// None is due.
    pub(crate) fn new() -> Self {
        Self { state: State::Idle, next_id: 0, last_passes: Vec::new() }
    }

    /// A flush of an earlier life, which lacks its last pass: answers its id.
    pub(crate) fn resume(&mut self, flushed: &Flushed) -> u64 {
        self.next_id += 1;
        self.last_passes.push(LastPass {
            id: self.next_id,
            cause: if flushed.bases { Cause::NoCursor } else { Cause::Hole },
            sites: flushed.sites.iter().cloned().collect(),
            sites_left: flushed.sites.len(),
            numbers: flushed.numbers.clone(),
        });
        self.next_id
    }

    /// What was flushed and lacks its last pass, for the cursor.
    pub(crate) fn flushed(&self) -> Option<Flushed> {
        let under_way = match &self.state {
            State::Purging { id, .. } => Some(*id),
            State::Idle | State::Scheduled { .. } => None,
        };
        let done: Vec<_> =
            self.last_passes.iter().filter(|flush| Some(flush.id) != under_way).collect();
        (!done.is_empty()).then(|| Flushed {
            sites: done.iter().flat_map(|flush| flush.sites.clone()).collect(),
            bases: done.iter().any(|flush| flush.cause != Cause::Hole),
            numbers: done.iter().flat_map(|flush| flush.numbers.clone()).collect(),
        })
    }

    /// Flushes at `at`, unless one is due already.
    pub(crate) fn schedule(&mut self, at: Moment, plan: Plan) {
        if self.state == State::Idle && !plan.sites.is_empty() {
            self.state = State::Scheduled { at, plan };
        }
    }

    /// The holes that called for a flush are filled.
    pub(crate) fn cancel_for_holes(&mut self) {
        if matches!(&self.state, State::Scheduled { plan, .. } if plan.cause == Cause::Hole) {
            self.state = State::Idle;
        }
    }

    /// Begins the scheduled flush if it is time, which will make up for `heads`. Answers its id.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        heads: impl FnOnce() -> Vec<(LineId, Number)>,
    ) -> Option<(u64, Plan)> {
        let plan = match &self.state {
            State::Scheduled { at, plan } if *at <= now => plan.clone(),
            _ => return None,
        };
        self.next_id += 1;
        let (id, sites_left) = (self.next_id, plan.sites.len());
        let (cause, sites) = (plan.cause, plan.sites.clone());
        self.last_passes.push(LastPass { id, cause, sites, sites_left, numbers: Vec::new() });
        self.state = State::Purging { id, plan: plan.clone(), sites_left, heads: heads() };
        Some((id, plan))
    }

    /// One site of flush `id` was purged. When that was the last one, answers the heads that it made up for.
    pub(crate) fn purged(&mut self, id: u64) -> Option<Vec<(LineId, Number)>> {
        match &mut self.state {
            State::Purging { id: under_way, sites_left, heads, .. } if *under_way == id => {
                *sites_left -= 1;
                if *sites_left > 0 {
                    return None;
                }
                let heads = std::mem::take(heads);
                self.state = State::Idle;
                Some(heads)
            }
            _ => None,
        }
    }

    /// Flush `id` made up for `numbers`; they are final after its last pass.
    pub(crate) fn made_up_for(&mut self, id: u64, numbers: Vec<(LineId, NumberRange)>) {
        if let Some(last_pass) = self.last_passes.iter_mut().find(|flush| flush.id == id) {
            last_pass.numbers = numbers;
        }
    }

    /// One site of flush `id` has had its last pass. Answers what is final by that.
    pub(crate) fn finished(&mut self, id: u64) -> Vec<(LineId, NumberRange)> {
        let Some(at) = self.last_passes.iter().position(|flush| flush.id == id) else {
            return Vec::new();
        };
        self.last_passes[at].sites_left -= 1;
        if self.last_passes[at].sites_left > 0 {
            return Vec::new();
        }
        self.last_passes.swap_remove(at).numbers
    }

    /// The cache refused a part of flush `id`: all of it is tried again later.
    pub(crate) fn refused(&mut self, id: u64, now: Moment) {
        if let State::Purging { id: under_way, plan, .. } = &self.state
            && *under_way == id
        {
            self.last_passes.retain(|flush| flush.id != id);
            self.state = State::Scheduled { at: now + AGAIN_AFTER, plan: plan.clone() };
        }
    }

    /// When the scheduled flush begins.
    pub(crate) fn due_at(&self) -> Option<Moment> {
        match self.state {
            State::Scheduled { at, .. } => Some(at),
            State::Idle | State::Purging { .. } => None,
        }
    }

    /// Whether the cache holds nothing any more that only a flush still to come would remove. Holes do
    /// not count: the floors stay below them until then.
    pub(crate) fn applied(&self) -> bool {
        self.cause().is_none_or(|cause| cause == Cause::Hole)
    }

    /// Whether such a flush has had its last pass too.
    pub(crate) fn clean(&self) -> bool {
        let mut causes = self.last_passes.iter().map(|flush| flush.cause);
        self.applied() && causes.all(|cause| cause == Cause::Hole)
    }

    /// Why one is due or under way, if one is.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match &self.state {
            State::Idle => None,
            State::Scheduled { plan, .. } | State::Purging { plan, .. } => Some(plan.cause),
        }
    }

    /// Whether none is due or under way.
    pub(crate) fn idle(&self) -> bool {
        self.state == State::Idle
    }
}
