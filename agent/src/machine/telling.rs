//! What a lane tells: its cursor to the shelf, its progress to the report, what it has settled to an outer lane.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::{Cursor, Host, LaneReport, LineId, LineReport, NumberRange, SiteName};

use super::Machine;
use crate::Moment;
use crate::flush::Cause;

/// Said of a flush that the configuration leaves to humans.
pub(crate) const WAITS_FOR_HUMAN: &str = "it waits for `purgebus flush`";
/// For so long it is told that a message was not understood.
const PARKED_TOLD: Duration = Duration::from_mins(10);

/// Sizes for the gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Numbers heard and not settled.
    pub(crate) unsettled: usize,
    /// Distinct selectors that wait in memory for a later pass.
    pub(crate) rebounds: usize,
    /// Numbers of which the log is read again for that.
    pub(crate) deferred: u64,
    /// Whether nothing more may be read now.
    pub(crate) full: bool,
    /// What the cache refused.
    pub(crate) dead_letters: usize,
    /// Whether a flush waits for a human.
    pub(crate) held: bool,
}

impl Machine {
    /// What to store: everything at or below its floors is final, so it may be stored at any time.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            life: self.life,
            region: self.purpose.region.clone(),
            sites: self.sites().into_iter().collect(),
            hosts: self.hosts(),
            parts: self.purpose.parts.clone(),
            lines: self.ledger.cursors(),
            hints: self.ledger.hints(&self.stretches),
            flushed: self.flush.flushed(),
            closed: self.ledger.closed(),
            obeyed: self.obeyed.iter().map(|(id, until)| (*id, *until)).collect(),
            behind: self.is_behind() || self.flush.follows_inner(),
        }
    }

    fn hosts(&self) -> BTreeMap<SiteName, BTreeSet<Host>> {
        let sites = self.purpose.sites.iter().filter(|site| self.holds(&site.name));
        sites.map(|site| (site.name.clone(), site.hosts.clone())).collect()
    }

    /// Whether others fill and purge the cache too.
    pub(crate) fn is_shared(&self) -> bool {
        self.purpose.config.shared
    }

    /// The cursor of a lane to which all that the log holds is replayed.
    pub(crate) fn replay(&self) -> Cursor {
        Cursor { lines: Vec::new(), closed: Vec::new(), hints: Vec::new(), ..self.cursor() }
    }

    /// Whether the cursor may be stored yet: not before a first flush was carried out, so that a crash until then
    /// flushes again.
    pub(crate) fn has_cursor(&self) -> bool {
        !self.start.joining() && self.flush.applied()
    }

    /// The latest word.
    pub(crate) fn report(&mut self, now: Moment) -> LaneReport {
        let mut lines = self.ledger.reports(now, self.hole_grace(now));
        if self.start.joining() || !self.flush.clean() {
            lines.iter_mut().for_each(not_final_up_to_base);
        }
        let oldest = self.ledger.oldest_unsettled();
        let age = oldest.map(|since| now.saturating_sub(since).as_micros());
        LaneReport {
            priority: self.purpose.priority,
            life: self.life,
            ready: self.start.done() && self.has_cursor(),
            circuit: self.retry.circuit(),
            last_error: self.trouble(now),
            lag: self.ledger.lag(),
            oldest_unsettled_us: age.map(|us| u64::try_from(us).unwrap_or(u64::MAX)),
            outcomes: self.ledger.outcomes(),
            lines,
            obeyed: self.remembered_orders(),
            dead_letters: self.letters.tell(),
            paused: self.pauses.tell(),
        }
    }

    /// The latest trouble; that a flush waits for a human comes first.
    fn trouble(&self, now: Moment) -> Option<String> {
        let held = self.flush.held();
        let held = held.map(|cause| format!("{}: {WAITS_FOR_HUMAN}", cause.reason()));
        held.or_else(|| self.too_many_letters())
            .or_else(|| self.last_error.clone())
            .or_else(|| self.parked_lately(now))
    }

    /// What was settled since this was last asked.
    pub(crate) fn drain_settled(&mut self) -> Vec<(LineId, NumberRange)> {
        self.settled.take()
    }

    /// Which flushes began since this was last asked.
    pub(crate) fn drain_flushes(&mut self) -> Vec<Cause> {
        std::mem::take(&mut self.flushes_begun)
    }

    /// What the cache can do, as last heard.
    pub(crate) fn abilities(&self) -> Option<&schemas::Abilities> {
        self.abilities.as_ref()
    }

    /// Why a flush is due or under way, if one is.
    pub(crate) fn flush_cause(&self) -> Option<Cause> {
        self.flush.cause()
    }

    /// Why a flush waits for a human, if one does.
    pub(crate) fn flush_held(&self) -> Option<Cause> {
        self.flush.held()
    }

    /// What was not understood of late.
    fn parked_lately(&self, now: Moment) -> Option<String> {
        let (at, what) = self.parked_error.as_ref()?;
        let lately = now.saturating_sub(*at) < PARKED_TOLD;
        lately.then(|| format!("a message of the log was not understood: {what}"))
    }

    /// Whether nothing that was heard waits for its first pass.
    pub(crate) fn has_settled_all(&self) -> bool {
        self.ledger.unsettled() == 0
    }

    /// Sizes for the gauges.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            unsettled: self.ledger.unsettled(),
            rebounds: self.rebounds.len() + self.parked.len(),
            deferred: self.stretches.numbers(),
            full: self.room() == 0,
            dead_letters: self.letters.len(),
            held: self.flush.held().is_some(),
        }
    }
}

/// What lies up to the base is made up for by a flush, and final no sooner than that flush's last pass.
fn not_final_up_to_base(line: &mut LineReport) {
    if line.finished > line.base {
        let above = NumberRange { first: line.base + 1, last: line.finished };
        line.finished_above.insert(0, above);
    }
    line.finished = 0;
}
