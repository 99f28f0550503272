//! The flush of a lane that cannot know what it missed: everything of its sites, then once more after the last delay.

mod plan;

use std::time::Duration;

use jiff::Timestamp;
use schemas::{Abilities, Flushed, LineId, Mode, Number, NumberRange, SiteName};
use uuid::Uuid;

use crate::Moment;

pub(crate) use plan::{Cause, Extent, Plan};

/// An order to flush: its name, and when it expires.
pub(crate) type FlushOrder = (Uuid, Timestamp);

/// A flush that waits for its time.
#[derive(Debug)]
struct Due {
    at: Moment,
    plan: Plan,
}

/// The flush that humans have ordered; several at once are one.
#[derive(Debug)]
struct OrderedFlush {
    at: Moment,
    sites: Vec<SiteName>,
    mode: Mode,
    orders: Vec<FlushOrder>,
}

/// The flush whose first pass is under way.
#[derive(Debug)]
struct UnderWay {
    id: u64,
    plan: Plan,
    orders: Vec<FlushOrder>,
    left: usize,
    heads: Vec<(LineId, Number)>,
}

/// A flush that has begun; what it makes up for is final after its last pass.
#[derive(Debug)]
struct LastPass {
    id: u64,
    cause: Cause,
    mode: Mode,
    extent: Extent,
    left: usize,
    numbers: Vec<(LineId, NumberRange)>,
    orders: Vec<FlushOrder>,
}

/// The flushes of one lane: at most one of each state, and those that wait for their last pass.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    scheduled: Option<Due>,
    /// A human must order it.
    held: Option<Plan>,
    ordered: Option<OrderedFlush>,
    under_way: Option<UnderWay>,
    next_id: u64,
    last_passes: Vec<LastPass>,
    obeyed: Vec<FlushOrder>,
    hard_flushes: u64,
}

/// How long a flush that the cache refused waits before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

impl Flush {
    /// None is due.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A flush of an earlier life, which lacks its last pass: answers its id.
    pub(crate) fn resume(&mut self, flushed: &Flushed) -> u64 {
        self.next_id += 1;
        self.hard_flushes += 1;
        self.last_passes.push(LastPass {
            id: self.next_id,
            cause: if flushed.bases { Cause::NoCursor } else { Cause::Hole },
            mode: Mode::Hard,
            extent: Extent::of(flushed.sites.iter().cloned().collect()),
            left: flushed.sites.len(),
            numbers: flushed.numbers.clone(),
            orders: Vec::new(),
        });
        self.next_id
    }

    /// What was flushed and lacks its last pass, for the cursor. A soft flush is repeated as a whole, by its order.
    pub(crate) fn flushed(&self) -> Option<Flushed> {
        let under_way = self.under_way.as_ref().map(|flush| flush.id);
        let done: Vec<_> = self
            .last_passes
            .iter()
            .filter(|flush| Some(flush.id) != under_way && flush.mode == Mode::Hard)
            .collect();
        (!done.is_empty()).then(|| Flushed {
            sites: done.iter().flat_map(|flush| flush.extent.sites.clone()).collect(),
            bases: done.iter().any(|flush| flush.cause.doubts_all()),
            numbers: done.iter().flat_map(|flush| flush.numbers.clone()).collect(),
        })
    }

    /// Whether one may be scheduled or held: none is yet, nor under way.
    pub(crate) fn free(&self) -> bool {
        self.scheduled.is_none() && self.held.is_none() && self.under_way.is_none()
    }

    /// Flushes at `at`, together with what is due already.
    pub(crate) fn schedule(&mut self, at: Moment, plan: Plan) {
        if self.does(&plan) {
            return;
        }
        match &mut self.scheduled {
            Some(due) => {
                due.at = due.at.min(at);
                due.plan.add(plan);
            }
            None => self.scheduled = Some(Due { at, plan }),
        }
    }

    /// Flushes once a human orders it, together with what waits for that already.
    pub(crate) fn hold(&mut self, plan: Plan) {
        if self.does(&plan) {
            return;
        }
        match &mut self.held {
            Some(held) => held.add(plan),
            None => self.held = Some(plan),
        }
    }

    /// What is due so far has so much more time.
    pub(crate) fn spread(&mut self, spread: Duration) {
        if let Some(due) = &mut self.scheduled {
            due.at += spread;
        }
    }

    /// Why the next flush begins, where others who share the cache may have made up for that.
    pub(crate) fn dispensable(&self) -> Option<Cause> {
        let next = self.scheduled.as_ref().filter(|_| self.ordered.is_none());
        let cause = next.filter(|_| self.under_way.is_none())?.plan.cause;
        matches!(cause, Cause::Hole | Cause::Configuration | Cause::Away).then_some(cause)
    }

    /// Others have flushed the cache, so that this lane need not: it counts as one of its own.
    pub(crate) fn was_spared(&mut self) {
        self.hard_flushes += 1;
    }

    /// Whether what is under way is all of `plan`.
    fn does(&self, plan: &Plan) -> bool {
        let under_way = self.under_way.as_ref();
        plan.extent.is_empty() || under_way.is_some_and(|flush| flush.plan.covers(plan))
    }

    /// A human has ordered to flush these sites at `at`.
    pub(crate) fn order(
        &mut self,
        at: Moment,
        sites: Vec<SiteName>,
        mode: Mode,
        order: FlushOrder,
    ) {
        let none = || OrderedFlush { at, sites, mode, orders: Vec::new() };
        let ordered = self.ordered.get_or_insert_with(none);
        ordered.at = ordered.at.min(at);
        ordered.mode = ordered.mode.max(mode);
        ordered.orders.push(order);
    }

    /// Whether this order waits to be carried out, or is being so.
    pub(crate) fn has_order(&self, id: Uuid) -> bool {
        let ordered = self.ordered.iter().flat_map(|flush| &flush.orders);
        let under_way = self.under_way.iter().flat_map(|flush| &flush.orders);
        let passing = self.last_passes.iter().flat_map(|flush| &flush.orders);
        ordered.chain(under_way).chain(passing).any(|(order, _)| *order == id)
    }

    /// The orders carried out since this was last asked.
    pub(crate) fn drain_obeyed(&mut self) -> Vec<FlushOrder> {
        std::mem::take(&mut self.obeyed)
    }

    /// The holes that called for a flush are filled.
    pub(crate) fn cancel_for_holes(&mut self) {
        self.scheduled.take_if(|due| due.plan.cause == Cause::Hole);
        self.held.take_if(|plan| plan.cause == Cause::Hole);
    }

    /// Begins the flush for which it is time, which will make up for the `heads` that a flush of these sites does.
    /// Answers its id, and whether it was ordered. A cache that cannot mark stale (`softens`) removes.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        softens: bool,
        heads: impl FnOnce(&[SiteName]) -> Vec<(LineId, Number)>,
    ) -> Option<(u64, Plan, bool)> {
        if self.under_way.is_some() {
            return None;
        }
        let (mut plan, orders) = match self.ordered.take_if(|ordered| ordered.at <= now) {
            Some(OrderedFlush { sites, mode, orders, .. }) => {
                let mode = if softens { mode } else { Mode::Hard };
                let mut plan = Plan { cause: Cause::Ordered, extent: Extent::of(sites), mode };
                if mode == Mode::Hard {
                    let due = self.scheduled.take().map(|due| due.plan);
                    plan.cause = due.or(self.held.take()).map_or(plan.cause, |due| due.cause);
                }
                (plan, orders)
            }
            None => (self.scheduled.take_if(|due| due.at <= now)?.plan, Vec::new()),
        };
        if !softens {
            plan.mode = Mode::Hard;
        }
        self.next_id += 1;
        let (id, left, ordered) = (self.next_id, plan.extent.len(), !orders.is_empty());
        let Plan { cause, extent, mode } = plan.clone();
        let heads = heads(&extent.sites);
        let (numbers, after_pass) = (Vec::new(), mode == Mode::Soft);
        // A soft flush is carried out once its last pass is done: the cursor does not tell of it before.
        let (late, early) = if after_pass { (orders, Vec::new()) } else { (Vec::new(), orders) };
        let last = LastPass { id, cause, mode, extent, left, numbers, orders: late };
        self.last_passes.push(last);
        self.under_way = Some(UnderWay { id, plan: plan.clone(), orders: early, left, heads });
        Some((id, plan, ordered))
    }

    /// One selector of flush `id` was purged. When that was the last one, answers the heads that it made up for.
    pub(crate) fn purged(&mut self, id: u64) -> Option<Vec<(LineId, Number)>> {
        let under_way = self.under_way.as_mut().filter(|flush| flush.id == id)?;
        under_way.left -= 1;
        if under_way.left > 0 {
            return None;
        }
        let UnderWay { plan, orders, heads, .. } = self.under_way.take()?;
        self.obeyed.extend(orders);
        if plan.mode == Mode::Hard {
            self.hard_flushes += 1;
            return Some(heads);
        }
        if plan.cause == Cause::Hole {
            self.held.get_or_insert(Plan { mode: Mode::Hard, ..plan });
        }
        Some(Vec::new())
    }

    /// What the cache can do is known: what becomes of single hosts is decided by it.
    pub(crate) fn settle_hosts(&mut self, known: &Abilities) {
        let held = self.held.iter_mut();
        let plans = self.scheduled.iter_mut().map(|due| &mut due.plan).chain(held);
        plans.for_each(|plan| plan.extent.settle_hosts(known));
        self.scheduled.take_if(|due| due.plan.extent.is_empty());
        self.held.take_if(|plan| plan.extent.is_empty());
    }

    /// Flush `id` made up for `numbers`; they are final after its last pass.
    pub(crate) fn made_up_for(&mut self, id: u64, numbers: Vec<(LineId, NumberRange)>) {
        if let Some(last_pass) = self.last_passes.iter_mut().find(|flush| flush.id == id) {
            last_pass.numbers = numbers;
        }
    }

    /// One selector of flush `id` has had its last pass. Answers what is final by that.
    pub(crate) fn finished(&mut self, id: u64) -> Vec<(LineId, NumberRange)> {
        let Some(at) = self.last_passes.iter().position(|flush| flush.id == id) else {
            return Vec::new();
        };
        self.last_passes[at].left -= 1;
        if self.last_passes[at].left > 0 {
            return Vec::new();
        }
        let LastPass { numbers, orders, .. } = self.last_passes.swap_remove(at);
        self.obeyed.extend(orders);
        numbers
    }

    /// The cache refused a part of flush `id`: all of it is tried again later.
    pub(crate) fn refused(&mut self, id: u64, now: Moment) {
        let Some(UnderWay { plan, mut orders, .. }) =
            self.under_way.take_if(|flush| flush.id == id)
        else {
            return;
        };
        for pass in self.last_passes.extract_if(.., |flush| flush.id == id) {
            orders.extend(pass.orders);
        }
        let at = now + AGAIN_AFTER;
        for order in orders {
            self.order(at, plan.extent.sites.clone(), plan.mode, order);
        }
        if plan.cause != Cause::Ordered {
            self.schedule(at, plan);
        }
    }

    /// When the next flush begins.
    pub(crate) fn due_at(&self) -> Option<Moment> {
        let scheduled = self.scheduled.as_ref().map(|due| due.at);
        let ordered = self.ordered.as_ref().map(|ordered| ordered.at);
        scheduled.into_iter().chain(ordered).min().filter(|_| self.under_way.is_none())
    }

    /// Whether the cache holds nothing any more that only a flush still to come would remove. Holes do
    /// not count: the floors stay below them until then.
    pub(crate) fn applied(&self) -> bool {
        // The cursor tells of whole sites that lack their last pass, not of parts.
        let mut extents = self.last_passes.iter().map(|flush| &flush.extent);
        !self.causes().any(Cause::doubts_all) && extents.all(Extent::is_of_whole_sites)
    }

    /// Whether such a flush has had its last pass too.
    pub(crate) fn clean(&self) -> bool {
        let mut causes = self.last_passes.iter().map(|flush| flush.cause);
        self.applied() && !causes.any(Cause::doubts_all)
    }

    fn causes(&self) -> impl Iterator<Item = Cause> {
        let under_way = self.under_way.iter().map(|flush| flush.plan.cause);
        let scheduled = self.scheduled.iter().map(|due| due.plan.cause);
        let held = self.held.iter().map(|plan| plan.cause);
        under_way.chain(scheduled).chain(held).chain(self.ordered.iter().map(|_| Cause::Ordered))
    }

    /// Whether one that follows that of the inner cache is due or under way.
    pub(crate) fn follows_inner(&self) -> bool {
        self.causes().any(|cause| cause == Cause::Inner)
    }

    /// Why one is due or under way, if one is.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.causes().next()
    }

    /// Why one waits for a human, if one does.
    pub(crate) fn held(&self) -> Option<Cause> {
        self.held.as_ref().map(|plan| plan.cause)
    }

    /// Whether a first pass is under way.
    pub(crate) fn under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether none is due or under way.
    pub(crate) fn idle(&self) -> bool {
        self.cause().is_none()
    }

    /// How often objects were removed so, in this life.
    pub(crate) fn hard_flushes(&self) -> u64 {
        self.hard_flushes
    }
}
