//! What a lane takes from the board of publishers: orders of humans, and lines that are over.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::Lane;

/// Lines that are over are looked for this often.
const TIDY_EVERY: Duration = Duration::from_mins(1);

impl Lane {
    /// Hears what humans have ordered.
    pub(super) fn heed(&mut self) {
        self.machine.heed(self.board.orders.of(&self.addressee, self.clock.now()));
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
