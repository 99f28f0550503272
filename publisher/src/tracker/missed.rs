//! What a region has missed: owed there by an agent that has neither purged, covered nor flushed it, or only late.

use jiff::SignedDuration;
use schemas::{AgentName, CacheName, Invalidation, Outcome, Place, Region};

use super::Tracker;
use super::line::Standing;
use super::registry::Registered;
use super::scope::Scope;

/// Whose misses are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissedBy {
    /// Agents of this region.
    pub(crate) region: Region,
    /// This agent alone.
    pub(crate) agent: Option<AgentName>,
    /// Caches of this name alone.
    pub(crate) cache: Option<CacheName>,
    /// What was settled later than this after it was accepted counts too.
    pub(crate) late: Option<SignedDuration>,
}

/// Whether an invalidation was missed, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    /// Nobody has.
    Not,
    /// It is settled, and when is not known any more.
    Unknown,
    /// Somebody has.
    Missed,
}

impl Tracker {
    /// Whether the invalidation at `place` was missed.
    pub(crate) fn missed(&self, place: Place, invalidation: &Invalidation, by: &MissedBy) -> Miss {
        let scope = Scope::of(invalidation);
        let concerned = self.registry.concerned(&scope, &self.sites);
        let asked = concerned.filter(|registered| by.means(registered));
        let misses = asked.map(|registered| by.judge(&registered, place, &scope, invalidation));
        misses.max().unwrap_or(Miss::Not)
    }
}

impl MissedBy {
    fn means(&self, registered: &Registered<'_>) -> bool {
        registered.agent.region == self.region
            && self.agent.as_ref().is_none_or(|agent| agent == registered.agent_name)
            && self.cache.as_ref().is_none_or(|cache| cache == registered.cache_name)
    }

    fn judge(
        &self,
        registered: &Registered<'_>,
        place: Place,
        scope: &Scope,
        invalidation: &Invalidation,
    ) -> Miss {
        let outcome = match registered.standing(place, scope) {
            Standing::NotOwed => return Miss::Not,
            Standing::Owes => return Miss::Missed,
            Standing::Settled { outcome, .. } => outcome,
        };
        match outcome {
            Outcome::Purged | Outcome::Covered | Outcome::Flushed => {
                let Some(late) = self.late else { return Miss::Not };
                // What lies below a line's base counts from its flush, whose time nobody reports.
                let line = registered.lane.lines.get(&place.line);
                let line = line.filter(|line| place.number > line.base);
                match line.and_then(|line| line.applied.time(place.number)) {
                    None => Miss::Unknown,
                    Some(at) if at.duration_since(invalidation.accepted_at) > late => Miss::Missed,
                    Some(_) => Miss::Not,
                }
            }
            // Settled by intent.
            Outcome::NotOurs | Outcome::Expired | Outcome::Cancelled => Miss::Not,
            Outcome::Bridged | Outcome::Unsupported | Outcome::Refused => Miss::Missed,
        }
    }
}
