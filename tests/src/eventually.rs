//! Waits for what must come true.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest wait; long, for machines that are busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `true_now`.
///
/// # Panics
/// When that takes longer than a minute.
pub async fn eventually(what: &str, mut true_now: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !true_now().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(LOOK_EVERY).await;
    }
}
