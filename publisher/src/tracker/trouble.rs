//! Why a lane has not applied what it owes, in the words of `missing`.

use jiff::{SignedDuration, Timestamp};
use schemas::{CircuitState, LanePause, Outcome, Place};

use super::Tracker;
use super::lane::Lane;
use super::line::Standing;
use super::registry::{GONE_AFTER, Registered};
use super::scope::Scope;

/// An agent gone for longer, or a cache that its agent has left out for longer, blocks what it owes.
pub(super) const BLOCKS_AFTER: SignedDuration = SignedDuration::from_mins(10);

const NOT_PURGED_YET: &str = "not purged yet";

/// Why a lane has not applied what it owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words.
    pub(super) reason: String,
    /// Since when, where that is known.
    pub(super) since: Option<Timestamp>,
    /// Whether it will stay so until someone does something.
    pub(super) blocks: bool,
}

impl Trouble {
    /// The reason, unless it is but a matter of time.
    pub(super) fn error(&self) -> Option<String> {
        (self.reason != NOT_PURGED_YET).then(|| self.reason.clone())
    }

    fn waits(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), since: None, blocks: false }
    }
}

impl Tracker {
    /// What keeps this lane from counting as applied.
    pub(super) fn trouble(
        &self,
        registered: &Registered<'_>,
        standing: Standing,
        place: Place,
        scope: &Scope,
        now: Timestamp,
    ) -> Option<Trouble> {
        let outcome = match standing {
            Standing::NotOwed => return None,
            Standing::Owes => return Some(self.why_not_yet(registered, place, scope, now)),
            Standing::Settled { outcome, .. } if outcome.applied() => return None,
            Standing::Settled { outcome, .. } => outcome,
        };
        let lane = registered.lane;
        let since = lane.lines.get(&place.line).and_then(|line| line.applied.time(place.number));
        Some(match outcome {
            Outcome::Unsupported => {
                let kinds = registered.unsupported(place, scope).join(", ");
                Trouble { reason: format!("unsupported: {kinds}"), since, blocks: true }
            }
            Outcome::Bridged => Trouble { since, ..Trouble::waits("handed on to another broker") },
            _ => Trouble {
                reason: "refused by the cache: a dead letter".to_owned(),
                since,
                blocks: true,
            },
        })
    }

    /// What keeps anybody from knowing how this lane stands now.
    pub(super) fn absence(&self, registered: &Registered<'_>, now: Timestamp) -> Option<Trouble> {
        let Registered { agent, lane, .. } = *registered;
        let silence = |heard_at: Timestamp| now.duration_since(heard_at.max(self.listening_since));
        if agent.has_rivals() {
            return Some(Trouble::waits("two agents under one name"));
        }
        let (reason, heard_at) = if silence(agent.heard_at()) > GONE_AFTER {
            ("agent gone", agent.heard_at())
        } else if lane.departed {
            ("its agent no longer reports this cache", lane.heard_at)
        } else {
            return None;
        };
        let blocks = silence(heard_at) > BLOCKS_AFTER;
        Some(Trouble { reason: reason.to_owned(), since: Some(heard_at), blocks })
    }

    fn why_not_yet(
        &self,
        registered: &Registered<'_>,
        place: Place,
        scope: &Scope,
        now: Timestamp,
    ) -> Trouble {
        if let Some(absence) = self.absence(registered, now) {
            return absence;
        }
        let Registered { cache, lane, .. } = *registered;
        let line = lane.lines.get(&place.line);
        if cache.abilities.is_none() {
            return Trouble::waits(with_error("the cache has not answered yet", lane));
        }
        if line.is_some_and(|line| place.number <= line.base) {
            return Trouble::waits(with_error("the cache is not flushed yet", lane));
        }
        if line.is_some_and(|line| line.holes.contains(&place.number)) {
            let retired = self.publishers.is_retired_line(place.line);
            return Trouble::waits(if retired {
                "it has not arrived: a hole in the log; its publisher is retired, so the cache flushes"
            } else {
                "it has not arrived: a hole in the log"
            });
        }
        let holds_up = |pause: &&LanePause| {
            pause.until > now && pause.site.as_ref().is_none_or(|site| *site == scope.site)
        };
        if let Some(pause) = lane.paused.iter().filter(holds_up).max_by_key(|pause| pause.until) {
            return Trouble::waits(format!("paused until {:.0}", pause.until));
        }
        match lane.circuit {
            CircuitState::Open => Trouble::waits(with_error("circuit open", lane)),
            CircuitState::Closed => Trouble::waits(with_error(NOT_PURGED_YET, lane)),
        }
    }
}

fn with_error(reason: &str, lane: &Lane) -> String {
    match &lane.last_error {
        Some(error) => format!("{reason}: {error}"),
        None => reason.to_owned(),
    }
}
