//! Orders to retry: each is carried out once every letter it was for has come back, purged or refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

/// The orders that are being carried out.
#[derive(Debug, Default)]
pub(super) struct Retries {
    orders: BTreeMap<Uuid, Order>,
    obeyed: Vec<(Uuid, Timestamp)>,
}

#[derive(Debug)]
struct Order {
    expires_at: Timestamp,
    waiting: BTreeSet<Uuid>,
}

impl Retries {
    /// Begins to carry out an order for these letters.
    pub(super) fn begin(&mut self, (id, expires_at): (Uuid, Timestamp), letters: Vec<Uuid>) {
        if letters.is_empty() {
            self.obeyed.push((id, expires_at));
        } else {
            let waiting = letters.into_iter().collect();
            self.orders.insert(id, Order { expires_at, waiting });
        }
    }

    /// Whether that one is being carried out.
    pub(super) fn has(&self, order: Uuid) -> bool {
        self.orders.contains_key(&order)
    }

    /// A letter is gone, or was refused again.
    pub(super) fn came_back(&mut self, letter: Uuid) {
        for order in self.orders.values_mut() {
            order.waiting.remove(&letter);
        }
        let done = self.orders.extract_if(.., |_, order| order.waiting.is_empty());
        self.obeyed.extend(done.map(|(id, order)| (id, order.expires_at)));
    }

    /// Those that were carried out since this was last asked.
    pub(super) fn drain_obeyed(&mut self) -> Vec<(Uuid, Timestamp)> {
        std::mem::take(&mut self.obeyed)
    }
}
