//! When a lane flushes: by itself where it may, when a human orders it, and after the cache behind it.

use std::time::Duration;

use jiff::Timestamp;
use schemas::{Mode, SiteName};
use uuid::Uuid;

use super::Machine;
use crate::Moment;
use crate::config::OnGap;
use crate::flush::{Cause, Extent, Plan};
use crate::standing_orders::{Bidden, Bidding};

/// Most orders remembered as carried out; those that expire first make room.
const OBEYED_MAX: usize = 10_000;
/// So much longer than the broker's retention it is told where closed lines end.
pub(super) const TOLD_LONGER: Duration = Duration::from_hours(24);

impl Machine {
    /// Everything that humans have ordered of this lane and that is in force.
    pub(crate) fn heed(&mut self, mut orders: Vec<Bidding>, now: Moment) {
        self.heed_pauses(&mut orders, now);
        self.heed_cancels(&mut orders);
        self.bidden = orders;
    }

    /// Takes the orders that are new, once it has a base: before, it owes a flush anyway. The lanes of a cache flush each
    /// for itself, for one flush cannot stand for both: it makes up for what its own lane had heard before it began, a
    /// cursor may tell of an order only by what its own connection has answered, and no priority waits for another.
    pub(super) fn take_orders(&mut self, now: Moment) {
        self.obeyed.extend(self.flush.drain_obeyed());
        self.obeyed.extend(self.letters.drain_obeyed());
        if self.start.joining() {
            return;
        }
        while self.obeyed.len() > OBEYED_MAX {
            let first = self.obeyed.iter().min_by_key(|(_, expires_at)| **expires_at);
            let Some(first) = first.map(|(id, _)| *id) else { break };
            self.obeyed.remove(&first);
        }
        let under_way = |id| self.flush.has_order(id) || self.letters.has_order(id);
        let new = |order: &&Bidding| !self.obeyed.contains_key(&order.id) && !under_way(order.id);
        let new: Vec<Bidding> = self.bidden.iter().filter(new).cloned().collect();
        if new.is_empty() {
            return;
        }
        let sites = self.sites();
        for order in new {
            let Bidding { id, expires_at, what } = &order;
            match what {
                Bidden::Flush { .. } if sites.is_empty() => {
                    self.obeyed.insert(*id, *expires_at);
                }
                Bidden::Flush { mode, .. } => {
                    self.flush.order(now, sites.clone(), *mode, (*id, *expires_at));
                }
                Bidden::Retry { .. } | Bidden::Drop { .. } => self.decide(&order, now),
                Bidden::Cancel { place, .. } if self.ledger.has_settled(*place) => {
                    self.obeyed.insert(*id, *expires_at);
                }
                // It is left as soon as it is heard; a pause is obeyed as long as it stands.
                Bidden::Cancel { .. } | Bidden::Pause { .. } => {}
            }
        }
    }

    /// Forgets the orders that have expired by that time.
    pub(crate) fn forget_orders(&mut self, time: Timestamp) {
        self.obeyed.retain(|_, expires_at| *expires_at > time);
    }

    /// The orders in force that were carried out.
    pub(crate) fn obeyed(&self) -> Vec<Uuid> {
        let carried_out = |id: &Uuid| self.obeyed.contains_key(id);
        let mut ids: Vec<Uuid> =
            self.bidden.iter().map(|order| order.id).filter(carried_out).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Those of them that a crash does not forget any more: only these are told to publishers, who then forget them.
    pub(super) fn remembered_orders(&self) -> Vec<Uuid> {
        self.obeyed().into_iter().filter(|id| self.remembered.contains(id)).collect()
    }

    /// The lane has to flush these sites at `at`: as far as its configuration lets it do so by itself.
    pub(super) fn must_flush(&mut self, at: Moment, cause: Cause, sites: Vec<SiteName>) {
        self.must_flush_of(at, cause, Extent::of(sites));
    }

    pub(super) fn must_flush_of(&mut self, at: Moment, cause: Cause, extent: Extent) {
        let plan = |mode| Plan { cause, extent, mode };
        match (self.purpose.config.on_gap, cause) {
            (OnGap::Hold, _) => self.flush.hold(plan(Mode::Hard)),
            (OnGap::Soft, Cause::Hole) => self.flush.schedule(at, plan(Mode::Soft)),
            (OnGap::Soft | OnGap::Hard, _) => self.flush.schedule(at, plan(Mode::Hard)),
        }
    }

    /// What was flushed in the cache behind this one may still lie here.
    pub(super) fn follow_inner(&mut self, now: Moment) {
        if self.is_behind() && !self.start.joining() && self.flush.free() {
            let sites = self.sites();
            self.must_flush(now, Cause::Inner, sites);
        }
    }

    /// Whether the inner cache was flushed, and this one not since.
    pub(super) fn is_behind(&self) -> bool {
        let inner = self.inner.as_ref();
        inner.is_some_and(|inner| self.behind || inner.flushes() > self.followed)
    }

    /// Up to which of the inner lane's flushes it has flushed too.
    pub(crate) fn followed(&self) -> u64 {
        self.followed
    }

    /// An earlier lane has followed the first so many of them.
    pub(crate) fn has_followed(&mut self, flushes: u64) {
        self.followed = flushes;
    }

    /// When the next flush begins: after that of the inner lane, but no longer than the barrier after its time.
    pub(super) fn flush_at(&self) -> Option<Moment> {
        let at = self.flush.due_at()?;
        let waits = self.inner.as_ref().is_some_and(|inner| {
            let inner_too =
                |order: &&Bidding| matches!(order.what, Bidden::Flush { inner_too: true, .. });
            let orders = self.bidden.iter().filter(inner_too);
            let mut ordered = orders.filter(|order| self.flush.has_order(order.id));
            !inner.broken()
                && (inner.flushing() || ordered.any(|order| !inner.has_obeyed(order.id)))
        });
        Some(if waits { at + self.purpose.config.barrier } else { at })
    }

    /// Whether a flush is under way or due, or may be so once the lane has begun: an outer lane waits for it.
    pub(crate) fn flushing(&self, now: Moment) -> bool {
        let due = self.flush.due_at().is_some_and(|at| at <= now);
        self.start.joining() || self.flush.under_way() || due
    }

    /// How often the cache was flushed hard in this life.
    pub(crate) fn hard_flushes(&self) -> u64 {
        self.flush.hard_flushes()
    }

    /// The first message of this life bears that time. What closed lines lost at their ends is told no longer than
    /// lines are remembered: who was away for longer cannot know what it missed.
    pub(super) fn judge_absence(&mut self, time: Timestamp, now: Moment) {
        self.first_heard = Some(time);
        let told = self.purpose.retention.saturating_add(TOLD_LONGER);
        let until = self.resumed_at.and_then(|resumed_at| resumed_at.checked_add(told).ok());
        if until.is_some_and(|until| time > until) {
            let sites = self.sites();
            self.must_flush(now, Cause::Away, sites);
        }
    }
}

#[cfg(test)]
mod tests;
