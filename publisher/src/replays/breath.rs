//! Leaves the processor to others: whoever reads much works at most half of the time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// So much work at a stretch.
const STRETCH: Duration = Duration::from_millis(4);

/// Counts work.
#[derive(Debug, Default)]
pub(super) struct Breath(Duration);

impl Breath {
    /// Something was done since then; rests as long as was worked, now and then.
    pub(super) async fn take(&mut self, began: Instant) {
        self.0 += began.elapsed();
        if self.0 >= STRETCH {
            sleep(std::mem::take(&mut self.0)).await;
        }
    }
}
