//! Numbers that a human has cancelled: a lane that has not begun them leaves them.

use std::collections::HashSet;

use schemas::{Outcome, Place};

use super::Machine;
use crate::standing_orders::{Bidden, Bidding};

impl Machine {
    /// Of `orders` takes those to cancel that are for other lanes out, and leaves what the others name.
    pub(super) fn heed_cancels(&mut self, orders: &mut Vec<Bidding>) {
        let ours = self.purpose.priority;
        orders.retain(|order| match order.what {
            Bidden::Cancel { priority, .. } => priority == ours,
            _ => true,
        });
        let places = orders.iter().filter_map(|order| match order.what {
            Bidden::Cancel { place, .. } => Some(place),
            _ => None,
        });
        let places: HashSet<Place> = places.collect();
        let new = places.iter().any(|place| !self.cancelled.contains(place));
        self.cancelled = places;
        if new {
            self.leave_what_waits();
        }
    }

    /// Leaves what was heard and not begun; what has failed counts as not begun.
    pub(super) fn leave_what_waits(&mut self) {
        if self.cancelled.is_empty() {
            return;
        }
        for place in self.held.withdraw(&self.cancelled) {
            self.cancel(place);
        }
        let waiting = self.queue.waiting_for(&self.cancelled);
        let unbegun = waiting.into_iter().filter(|(place, selectors)| {
            // What is not in the queue is under way, or done.
            self.ledger.unbegun(*place) == Some(*selectors)
        });
        let unbegun: HashSet<Place> = unbegun.map(|(place, _)| place).collect();
        self.queue.withdraw(&unbegun);
        for place in unbegun {
            self.cancel(place);
        }
    }

    /// Settles all of a number that waits for nothing.
    pub(super) fn cancel(&mut self, place: Place) {
        for _ in 0..self.ledger.unbegun(place).unwrap_or(0) {
            self.settle_finally(place, Outcome::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests;
