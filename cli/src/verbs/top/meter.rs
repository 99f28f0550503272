//! How fast a count rises, over the last seconds. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// A rate is taken over so long, or over two looks where they lie farther apart.
const OVER: Duration = Duration::from_secs(5);

/// Looks at one count.
#[derive(Debug, Default)]
pub(super) struct Meter {
    looks: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// The count, `now`.
    pub(super) fn look(&mut self, now: Duration, count: u64) {
        // Whoever counts has begun anew.
        if self.looks.back().is_some_and(|(_, last)| count < *last) {
            self.looks.clear();
        }
        self.looks.push_back((now, count));
        while self.looks.len() > 2 && self.looks[1].0 + OVER <= now {
            self.looks.pop_front();
        }
    }

    /// By how much it rises in a second; `None` before the second look.
    pub(super) fn per_second(&self) -> Option<f64> {
        let ((first, from), (last, to)) = (self.looks.front()?, self.looks.back()?);
        let seconds = last.saturating_sub(*first).as_secs_f64();
        let risen = u32::try_from(to - from).map_or(f64::from(u32::MAX), f64::from);
        (seconds > 0.0).then(|| risen / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(looks: &[(u64, u64)]) -> Option<f64> {
        let mut meter = Meter::default();
        for (second, count) in looks {
            meter.look(Duration::from_secs(*second), *count);
        }
        meter.per_second()
    }

    #[test]
    fn a_rate_takes_two_looks_and_forgets_what_is_long_past() {
        assert_eq!(rate(&[(0, 7)]), None);
        assert_eq!(rate(&[(0, 7), (2, 11)]), Some(2.0));
        assert_eq!(rate(&[(0, 0), (1, 1_000), (2, 1_000), (6, 1_000)]), Some(0.0));
        assert_eq!(rate(&[(0, 0), (60, 120)]), Some(2.0), "two looks far apart");
        assert_eq!(rate(&[(3, 9), (3, 9)]), None, "no time has passed");
    }

    #[test]
    fn a_count_that_begins_anew_is_no_negative_rate() {
        assert_eq!(rate(&[(0, 1_000), (1, 3)]), None);
        assert_eq!(rate(&[(0, 1_000), (1, 3), (2, 5)]), Some(2.0));
    }
}
