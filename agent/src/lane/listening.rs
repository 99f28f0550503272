//! What a lane takes from the board of publishers: orders of humans, and lines that are over.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::Lane;

/// Lines that are over are looked for this often.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// What humans have ordered is heard once more this often, without news.
const HEED_EVERY: Duration = Duration::from_secs(1);
/// Longest wait at the start for what is paused: a broker that is down holds up nothing longer.
const ORDERS_WITHIN: Duration = Duration::from_secs(3);

impl Lane {
    /// Hears what humans have ordered.
    pub(super) fn heed(&mut self) {
        let orders = self.board.orders.of(&self.addressee, &self.clocks, self.clock.now());
        self.machine.heed(orders, self.now());
        if self.board.orders.are_known() {
            self.machine.orders_are_known();
        }
        self.heeded = Instant::now();
        self.unshown = true;
    }

    /// Hears them once more now and then: what has expired, and what clocks are known to show, changes.
    pub(super) fn heed_again(&mut self) {
        if self.heeded.elapsed() >= HEED_EVERY {
            self.heed();
        }
    }

    /// Waits for the orders in force to be known, lest something leaves that is paused.
    pub(super) fn await_orders(&mut self) {
        if !self.board.orders.are_known() {
            self.machine.await_orders(ORDERS_WITHIN, self.now());
        }
    }

    /// Forgets lines on which nothing will be asked again.
    pub(super) fn tidy(&mut self) {
        if self.tidied.elapsed() < TIDY_EVERY {
            return;
        }
        self.tidied = Instant::now();
        self.machine.forget_orders(self.clock.now());
        let closed = self.board.closings.of(self.machine.line_ids());
        let forgotten = self.machine.close_lines(&closed, self.clock.now(), self.now());
        if !forgotten.is_empty() {
            info!(lane = self.name, lines = forgotten.len(), "forgot lines that are over");
            self.progress.forget(&forgotten);
        }
    }
}
