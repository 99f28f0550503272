//! Which purges of a lane wait because a human says so, and until when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::{LANE_PAUSES_MAX, LanePause, PAUSE_MAX, SiteName};
use uuid::Uuid;

use super::Machine;
use crate::Moment;
use crate::standing_orders::{Bidden, Bidding, Span};

/// The pauses that are ordered. One that is over stays known as long as it is: whatever clocks say later, it does not
/// begin anew.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    known: BTreeMap<Uuid, Pause>,
    /// What is paused is not known yet: nothing goes out before that, or before this moment.
    unheard: Option<Moment>,
}

#[derive(Debug)]
struct Pause {
    site: Option<SiteName>,
    expires_at: Timestamp,
    until: Moment,
    /// Whatever clocks say, it ends then.
    at_most: Moment,
    /// As of the last look.
    over: bool,
}

impl Pauses {
    /// Only these are ordered.
    fn heed(&mut self, ordered: BTreeMap<Uuid, Ordered>, now: Moment) {
        let mut before = std::mem::take(&mut self.known);
        for (id, Ordered { site, span: Span { left, whole }, expires_at }) in ordered {
            let known = before.remove(&id);
            let at_most = known.map_or_else(|| now + whole.min(PAUSE_MAX), |known| known.at_most);
            let until = at_most.min(now.saturating_add(left));
            self.known.insert(id, Pause { site, expires_at, until, at_most, over: false });
        }
    }

    fn in_force(&self) -> impl Iterator<Item = (&Uuid, &Pause)> {
        self.known.iter().filter(|(_, pause)| !pause.over)
    }

    /// Whether nothing goes out.
    pub(super) fn all(&self) -> bool {
        self.unheard.is_some() || self.of_all_sites()
    }

    fn of_all_sites(&self) -> bool {
        self.in_force().any(|(_, pause)| pause.site.is_none())
    }

    fn sites(&self) -> BTreeSet<SiteName> {
        self.in_force().filter_map(|(_, pause)| pause.site.clone()).collect()
    }

    fn end(&mut self, now: Moment) {
        self.known.values_mut().for_each(|pause| pause.over = pause.until <= now);
        self.unheard.take_if(|until| *until <= now);
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.in_force().map(|(_, pause)| pause.until).chain(self.unheard).min()
    }

    /// For the report.
    pub(super) fn tell(&self) -> Vec<LanePause> {
        let pauses = self.in_force().take(LANE_PAUSES_MAX);
        pauses
            .map(|(id, Pause { site, expires_at, .. })| LanePause {
                id: *id,
                site: site.clone(),
                until: *expires_at,
            })
            .collect()
    }
}

/// A pause, as it was ordered.
#[derive(Debug)]
struct Ordered {
    site: Option<SiteName>,
    span: Span,
    expires_at: Timestamp,
}

impl Machine {
    /// Nothing goes out before it is known what is paused, or that time has passed.
    pub(crate) fn await_orders(&mut self, at_most: Duration, now: Moment) {
        self.pauses.unheard = Some(now + at_most);
    }

    /// Takes the pauses out of `orders`: they are in force, and no others.
    pub(super) fn heed_pauses(&mut self, orders: &mut Vec<Bidding>, now: Moment) {
        let mut pauses = BTreeMap::new();
        for Bidding { id, expires_at, what } in
            orders.extract_if(.., |order| matches!(order.what, Bidden::Pause { .. }))
        {
            if let Bidden::Pause { site, span } = what {
                pauses.insert(id, Ordered { site, span, expires_at });
            }
        }
        self.pauses.heed(pauses, now);
        self.tend_pauses(now);
    }

    /// What is paused is known from now on.
    pub(crate) fn orders_are_known(&mut self) {
        self.pauses.unheard = None;
    }

    /// Ends the pauses for which it is time.
    pub(super) fn tend_pauses(&mut self, now: Moment) {
        self.pauses.end(now);
        self.queue.set_aside(self.pauses.sites());
    }

    /// The pauses that hold up everything, in words.
    pub(crate) fn paused_because(&self) -> Option<String> {
        let of = |pause: &LanePause| {
            let site = pause.site.as_ref().map(|site| format!("site {site} is "));
            format!("{}paused until {:.0}", site.unwrap_or_default(), pause.until)
        };
        let told: Vec<String> = self.pauses.tell().iter().map(of).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// Whether no purge goes out because a human says so.
    pub(crate) fn is_paused(&self) -> bool {
        self.pauses.of_all_sites()
    }
}

#[cfg(test)]
mod tests;
