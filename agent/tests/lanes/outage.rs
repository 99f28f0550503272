//! A cache that is down for a day, in a fraction of the time and with a fraction of what comes in it, before a window that
//! is smaller in proportion: what it costs depends on bounds, and not on how long it lasts.

use std::time::Duration;

use schemas::{CircuitState, Outcome, Priority};

use crate::SECOND;
use crate::bench::{Behaviour, Bench, OneLine, tag};

const NORMAL: Priority = Priority::Normal;
/// Stands for 1,000 a second, where a window of 10,000 is normal: a day is 1,440 windows here, and 8,640 there.
const PER_SECOND: u64 = 20;
const WINDOW: usize = 10;
/// In seconds.
const HOUR: u64 = 30;
/// A lane reads a frame as a whole.
const HELD_MAX: u64 = WINDOW as u64 + PER_SECOND;

/// What the outage costs by now.
#[derive(Debug, Default)]
struct Cost {
    /// Numbers that the lane holds.
    held: u64,
    /// The folder with its cursor.
    state_bytes: u64,
    report_bytes: u64,
    /// Longest time until the other cache was purged, in the hour before.
    other_waited: Duration,
}

impl Cost {
    /// Of another hour.
    async fn after_an_hour(bench: &Bench) -> Self {
        let mut cost = Self::default();
        for _ in 0..HOUR {
            let before = bench.elapsed();
            bench.forget_purges();
            bench.publish_many(PER_SECOND).await;
            let expected = usize::try_from(PER_SECOND).expect("few");
            bench.until_purged("other", expected).await;
            cost.other_waited = cost.other_waited.max(bench.since(before));
            bench.pass(SECOND).await;
        }
        cost.held = bench.metric("unsettled", "web");
        cost.state_bytes = bench.state_bytes();
        cost.report_bytes = bench.report_bytes().await;
        cost
    }
}

async fn bench() -> Bench {
    let mut bench = Bench::new()
        .cache("web", |cache| cache.window(WINDOW))
        .cache("other", |cache| cache.rebounds = Vec::new());
    bench.start().await;
    bench
}

async fn goes_down(bench: &Bench) {
    bench.behave("web", Behaviour::Down);
    bench.publish(&[tag("first")]).await;
    bench.until_lane("web", NORMAL, |lane| lane.circuit == CircuitState::Open).await;
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_down_for_a_day_costs_what_it_costs_in_an_hour() {
    let mut bench = bench().await;
    let control = Cost::after_an_hour(&bench).await;
    goes_down(&bench).await;
    let first = Cost::after_an_hour(&bench).await;
    for hour in 2..=24 {
        let cost = Cost::after_an_hour(&bench).await;
        assert!((1..=HELD_MAX).contains(&cost.held), "hour {hour}: {cost:?}");
        // Numbers become longer.
        assert!(cost.state_bytes <= first.state_bytes + 64, "hour {hour}: {cost:?}, {first:?}");
        assert!(cost.report_bytes <= first.report_bytes + 64, "hour {hour}: {cost:?}, {first:?}");
        let waited = cost.other_waited;
        assert!(waited <= control.other_waited + SECOND / 100, "{waited:?}, {control:?}");
    }
    let missed = bench.publish(&[tag("last")]).await;
    let applied = bench.report("web", NORMAL).await.line().applied;
    assert!(missed - applied >= 24 * HOUR * PER_SECOND, "{applied}");
    bench.forget_purges();
    bench.behave("web", Behaviour::Works);
    bench.until_lane("web", NORMAL, |lane| lane.line().applied == missed).await;
    assert_eq!(bench.distinct_purges("web") as u64, 24 * HOUR * PER_SECOND + 2, "all of the day");
    assert_eq!(bench.report("web", NORMAL).await.outcomes.of(Outcome::Flushed), 0);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_log_while_a_cache_is_down_is_flushed() {
    let mut bench = bench().await;
    goes_down(&bench).await;
    Cost::after_an_hour(&bench).await;
    bench.expire().await;
    let missed = bench.publish(&[tag("last")]).await;
    bench.behave("web", Behaviour::Works);
    bench.until_lane("web", NORMAL, |lane| lane.line().finished == missed).await;
    assert!(bench.purges("web").contains(&"everything".to_owned()));
    let flushed = bench.report("web", NORMAL).await.outcomes.of(Outcome::Flushed);
    assert!(flushed > 10 * PER_SECOND, "all but what was read ahead: {flushed}");
    assert!(!bench.purges("other").contains(&"everything".to_owned()), "it missed nothing");
    bench.stop().await;
}
