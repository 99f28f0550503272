//! Numbers that must exist and were not heard: looked up where positions are in doubt, then flushed for.

use std::time::Duration;

use schemas::{Ability, Cursor, LogMessage, Mode, Selector, SiteName};

use super::Machine;
use crate::Moment;
use crate::batch::Waiter;
use crate::driver::{Fetches, Purge};
use crate::flush::Cause;
use crate::ledger::Located;
use crate::lookup::SearchFrom;

/// Said by a lane that must flush a cache which cannot purge everything of a site.
const CANNOT_FLUSH: &str = "this cache cannot be flushed by its driver: empty it by hand and set \
    starts_empty = true, or give it a way to purge everything";
/// A hole in doubt is looked up after this part of the grace,
const LOOK_UP_AFTER: f64 = 0.3;
/// and reported after so many graces at the latest.
const GRACES_IN_DOUBT: u32 = 2;

impl Machine {
    /// The log was subscribed to anew: positions may no longer mean what they meant.
    pub(crate) fn doubt(&mut self, now: Moment) {
        self.lookup.doubt(now);
    }

    /// Whether and from where the log is to be searched now for what is missing. Once it is, its messages go to
    /// [`Machine::find`], and [`Machine::searched`] must follow.
    pub(crate) fn look_up(&mut self, now: Moment) -> Option<SearchFrom> {
        let missing = self.start.has_heard() && self.ledger.lacks(now, self.look_up_after());
        if missing { self.lookup.begin(now) } else { None }
    }

    /// A message that the search has met. Answers whether there may be more to find.
    pub(crate) fn find(&mut self, message: LogMessage, at: Located, now: Moment) -> bool {
        if let LogMessage::Frame(frame) = message {
            let known = self.ledger.lines.get(&frame.line);
            let lacks = known.is_some_and(|line| line.hearing.lacks(frame.numbers()));
            if lacks && self.hear_frame(frame, at, now).is_ok() {
                self.lookup.found();
            }
        }
        self.wanted(now)
    }

    /// The search is over. Answers from where to search next.
    pub(crate) fn searched(&mut self, now: Moment) -> Option<SearchFrom> {
        let wanted = self.wanted(now);
        self.lookup.ended(wanted, now)
    }

    /// Whether something is missing that was so when the search began.
    fn wanted(&self, now: Moment) -> bool {
        let since = self.lookup.searching_since();
        let age = since.map(|since| now.saturating_sub(since) + self.look_up_after());
        age.is_some_and(|age| self.ledger.lacks(now, age))
    }

    fn look_up_after(&self) -> Duration {
        self.purpose.config.hole_grace.mul_f64(LOOK_UP_AFTER)
    }

    /// For how long something must be missing to be reported.
    pub(super) fn hole_grace(&self, now: Moment) -> Duration {
        let graces = if self.lookup.open(now) { GRACES_IN_DOUBT } else { 1 };
        self.purpose.config.hole_grace * graces
    }

    /// Schedules a flush when a hole is overdue, spread over the fleet; calls it off when the hole was filled.
    pub(super) fn watch_holes(&mut self, now: Moment) {
        if !self.start.has_heard() {
            return;
        }
        let deadline = self.purpose.config.hole_deadline;
        let overdue = self.ledger.lines.values().any(|line| line.hearing.overdue(now, deadline));
        if !overdue {
            self.flush.cancel_for_holes();
        } else if self.flush.free() {
            let spread = self.purpose.config.flush_spread.mul_f64(self.jitter.f64());
            let sites = self.sites();
            self.must_flush(now + spread, Cause::Hole, sites);
        }
    }

    pub(super) fn begin_flush(&mut self, now: Moment) {
        let Some(softens) = self.abilities.as_ref().map(|abilities| abilities.soft) else { return };
        if self.flush_at().is_none_or(|at| now < at) || self.waits_for_others() {
            return;
        }
        if let Some(known) = &self.abilities {
            self.flush.settle_hosts(known);
        }
        // What is missing may have been of any site.
        let (all, ledger) = (self.sites(), &self.ledger);
        let is_whole = |sites: &[SiteName]| all.iter().all(|site| sites.contains(site));
        let heads = |sites: &[SiteName]| if is_whole(sites) { ledger.heads() } else { Vec::new() };
        let begun = self.flush.begin(now, softens, heads);
        let Some((id, plan, ordered)) = begun else { return };
        if let (Mode::Hard, true, Some(inner)) =
            (plan.mode, is_whole(&plan.extent.sites), &self.inner)
        {
            (self.followed, self.behind) = (inner.flushes(), false);
        }
        if self.ability(&Selector::Everything) != Ability::Supported {
            self.flush.refused(id, now);
            self.last_error = Some(CANNOT_FLUSH.to_owned());
            return;
        }
        for purge in plan.extent.purges(plan.mode) {
            self.queue.add(purge, Waiter::Flush(id), now);
        }
        self.flushes_begun.push(if ordered { Cause::Ordered } else { plan.cause });
    }

    /// A flush that an earlier life has carried out lacks its last pass, and nothing else.
    pub(super) fn resume_flush(&mut self, cursor: &Cursor, now: Moment) {
        let Some(mut flushed) = cursor.flushed.clone() else { return };
        flushed.sites.retain(|site| self.holds(site));
        if flushed.sites.is_empty() {
            for (line, numbers) in flushed.numbers {
                self.ledger.flush_finished(line, numbers);
            }
            return;
        }
        let id = self.flush.resume(&flushed);
        for site in flushed.sites {
            let purge = Purge::new(site, Selector::Everything, Mode::Hard);
            self.await_rebounds(&purge, vec![Waiter::Flush(id)], Fetches::Unfenced, now);
        }
    }
}

#[cfg(test)]
mod tests;
