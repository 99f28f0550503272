//! When to try again: full-jitter backoff, Retry-After, and a circuit that real pending work closes.

use std::time::Duration;

use schemas::CircuitState;

use crate::Moment;

/// Ceiling of the wait after the first failure; it doubles with each further one.
const FIRST_CEILING: Duration = Duration::from_millis(100);
/// Highest ceiling.
const LAST_CEILING: Duration = Duration::from_secs(5);
/// Longest Retry-After obeyed.
const ASKED_MAX: Duration = Duration::from_mins(5);
/// After this many failures in a row the circuit is open.
const FAILURES_TO_OPEN: u32 = 5;

/// The patience of one lane with its cache.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    failures: u32,
    again_at: Moment,
    jitter: fastrand::Rng,
}

impl Retry {
    /// Nothing has failed yet; `jitter` decides within the ceilings.
    pub(crate) fn new(jitter: fastrand::Rng) -> Self {
        Self { failures: 0, again_at: Moment::ZERO, jitter }
    }

    /// One more failure; the cache may have `asked` to be left alone for a time.
    pub(crate) fn failed(&mut self, now: Moment, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let doublings = (self.failures - 1).min(16);
        let ceiling = FIRST_CEILING.saturating_mul(1 << doublings).min(LAST_CEILING);
        let wait = ceiling.mul_f64(self.jitter.f64());
        self.again_at = now + wait.max(asked.unwrap_or_default().min(ASKED_MAX));
    }

    /// The cache works.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.again_at = Moment::ZERO;
    }

    /// The cache answers: whether it works is to be tried at once.
    pub(crate) fn answered(&mut self) {
        self.again_at = Moment::ZERO;
    }

    /// When the next attempt may begin.
    pub(crate) fn again_at(&self) -> Moment {
        self.again_at
    }

    /// Whether the latest attempt failed: then one attempt at a time is enough.
    pub(crate) fn failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether the cache has failed repeatedly.
    pub(crate) fn circuit(&self) -> CircuitState {
        if self.failures >= FAILURES_TO_OPEN { CircuitState::Open } else { CircuitState::Closed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_lies_below_its_ceiling_whatever_the_jitter(seed: u64, failures in 1u32..40) {
            let mut retry = Retry::new(fastrand::Rng::with_seed(seed));
            let now = Moment::from_secs(7);
            for failure in 1..=failures {
                retry.failed(now, None);
                let ceiling = FIRST_CEILING * 2u32.saturating_pow(failure - 1).min(1_000);
                prop_assert!(retry.again_at() >= now);
                prop_assert!(retry.again_at() <= now + ceiling.min(LAST_CEILING));
            }
        }
    }

    #[test]
    fn waits_differ() {
        let mut retry = Retry::new(fastrand::Rng::with_seed(1));
        let waits: std::collections::BTreeSet<_> = (0..10)
            .map(|_| {
                retry.failed(Moment::ZERO, None);
                retry.again_at()
            })
            .collect();
        assert_eq!(waits.len(), 10);
    }

    #[test]
    fn what_the_cache_asked_for_is_obeyed_within_reason() {
        let mut retry = Retry::new(fastrand::Rng::with_seed(1));
        retry.failed(Moment::ZERO, Some(Duration::from_secs(30)));
        assert_eq!(retry.again_at(), Duration::from_secs(30));
        retry.failed(Moment::ZERO, Some(Duration::MAX));
        assert_eq!(retry.again_at(), ASKED_MAX);
    }

    #[test]
    fn the_circuit_opens_after_repeated_failures_and_closes_at_the_first_success() {
        let mut retry = Retry::new(fastrand::Rng::with_seed(1));
        for _ in 1..FAILURES_TO_OPEN {
            retry.failed(Moment::ZERO, None);
            assert_eq!(retry.circuit(), CircuitState::Closed);
        }
        retry.failed(Moment::ZERO, None);
        assert_eq!(retry.circuit(), CircuitState::Open);
        retry.succeeded();
        assert_eq!(retry.circuit(), CircuitState::Closed);
        assert_eq!(retry.again_at(), Moment::ZERO);
    }
}
