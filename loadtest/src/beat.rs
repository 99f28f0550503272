//! An open loop: so many a second, whether or not what was sent has come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Times at which something is meant to happen, each for whoever is free first.
#[derive(Debug)]
pub(crate) struct Beat {
    began: Instant,
    per_second: u64,
    count: u64,
    at_once: u64,
    next: AtomicU64,
}

impl Beat {
    /// So many a second for that long, from now on; at least one.
    pub(crate) fn new(per_second: u64, time: Duration) -> Self {
        let count = u128::from(per_second) * time.as_millis() / 1_000;
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        Self {
            began: Instant::now(),
            per_second: per_second.max(1),
            count,
            at_once: 1,
            next: AtomicU64::new(0),
        }
    }

    /// The same rate, but so many each time.
    pub(crate) fn in_bursts_of(self, at_once: u64) -> Self {
        Self { at_once: at_once.max(1), ..self }
    }

    /// How many in all.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// When that one is meant to happen.
    pub(crate) fn due(&self, number: u64) -> Instant {
        let first = number - number % self.at_once;
        let nanoseconds = u128::from(first) * 1_000_000_000 / u128::from(self.per_second);
        self.began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Waits for the next that nobody has yet: which it is, and when it is meant to happen. None after the last.
    pub(crate) async fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            return None;
        }
        let due = self.due(number);
        sleep_until(due).await;
        Some((number, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_makes_what_comes_after_it_late() {
        let beat = Beat::new(10, Duration::from_millis(300));
        let mut late = Vec::new();
        while let Some((number, due)) = beat.next().await {
            late.push((number, due.elapsed().as_millis()));
            tokio::time::advance(Duration::from_millis(150)).await;
        }
        assert_eq!(late, [(0, 0), (1, 50), (2, 100)]);
    }

    #[test]
    fn a_burst_is_due_at_once_and_the_rate_stays() {
        let beat = Beat::new(10, Duration::from_secs(1)).in_bursts_of(5);
        let due = (0..10).map(|number| beat.due(number).duration_since(beat.began).as_millis());
        assert_eq!(due.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 500, 500, 500, 500, 500]);
    }

    #[test]
    fn the_shortest_run_has_one() {
        assert_eq!(Beat::new(1, Duration::from_millis(1)).count(), 1);
    }
}
