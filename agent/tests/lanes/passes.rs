//! Later passes of more than a lane holds in memory, and of lanes in order.

use std::collections::HashMap;
use std::time::Duration;

use schemas::{CircuitState, Priority};

use crate::SECOND;
use crate::bench::{Behaviour, Bench, OneLine, tag};

const NORMAL: Priority = Priority::Normal;

/// How often a cache was purged of what.
fn counted(bench: &Bench, cache: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for purge in bench.purges(cache) {
        *counts.entry(purge).or_default() += 1;
    }
    counts
}

/// 20,000 a second for 65 s with 200,000 held, at a fortieth of both.
#[tokio::test(start_paused = true)]
async fn more_distinct_selectors_than_are_held_cost_log_and_not_memory() {
    const PER_SECOND: u64 = 500;
    const HELD: u64 = 5_000;
    let mut bench = Bench::new().cache("web", |cache| {
        cache.rebounds = vec![SECOND, 11 * SECOND, 65 * SECOND];
        cache.rebound_selectors(5_000);
    });
    bench.start().await;
    let (mut last, mut deferred) = (0, 0);
    for _ in 0..65 {
        for _ in 0..10 {
            last = bench.publish_many(PER_SECOND / 10).await;
            bench.pass(SECOND / 10).await;
        }
        assert!(bench.metric("rebounds_waiting", "web") <= HELD);
        deferred = deferred.max(bench.metric("rebounds_deferred", "web"));
        assert!(bench.report("web", NORMAL).await.line().applied + PER_SECOND >= last, "it lags");
    }
    assert!(deferred > 4 * HELD, "{deferred}");
    let published = bench.elapsed();
    bench.until(|lane| lane.line().finished == last).await;
    assert!(bench.since(published) < 75 * SECOND, "{:?}", bench.since(published));
    let counts = counted(&bench, "web");
    assert_eq!(counts.len() as u64, 65 * PER_SECOND);
    assert!(counts.values().all(|count| *count == 4), "at once, and after each of three delays");
    assert_eq!(bench.metric("rebounds_deferred", "web"), 0);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hot_selector_is_purged_little_more_often_for_what_is_not_held() {
    let mut bench = Bench::new().cache("web", |cache| {
        cache.rebounds = vec![SECOND, 11 * SECOND, 65 * SECOND];
        cache.rebound_selectors(10);
    });
    bench.start().await;
    let mut last = 0;
    for _ in 0..600 {
        last = bench.publish(&[tag("hot")]).await;
        bench.pass(SECOND / 10).await;
    }
    bench.until(|lane| lane.line().finished == last).await;
    let purges = bench.purges("web").len();
    // 600 first passes; a stretch is 2 s, and each of its three passes may cost one purge where none came by itself.
    assert!((601..=700).contains(&purges), "{purges}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_repeats_what_was_not_held() {
    let mut bench = Bench::new().cache("web", |cache| {
        cache.rebounds = vec![11 * SECOND];
        cache.rebound_selectors(10);
    });
    bench.start().await;
    let last = bench.publish_many(100).await;
    bench.until(|lane| lane.line().applied == last).await;
    bench.pass(5 * SECOND).await;
    assert!(bench.metric("rebounds_deferred", "web") >= 80);
    bench.kill().await;
    bench.forget_purges();
    bench.start_unready();
    bench.until(|lane| lane.line().finished == last).await;
    let counts = counted(&bench, "web");
    assert_eq!(counts.len(), 100);
    assert!(counts.values().all(|count| *count == 2), "both passes, in the new life");
    bench.stop().await;
}

/// An hour at 1,000 a second with 60,000 held, with a tenth of the time and a five-hundredth of the numbers.
#[tokio::test(start_paused = true)]
async fn an_inner_cache_down_for_an_hour_costs_the_outer_one_neither_time_nor_memory() {
    const HELD: usize = 120;
    let mut bench =
        Bench::new().cache("inner", |cache| cache.window(500)).cache("outer", |cache| {
            cache.after("inner");
            cache.rebounds = vec![SECOND, 3 * SECOND];
            cache.rebound_selectors(HELD);
        });
    bench.start().await;
    bench.behave("inner", Behaviour::Down);
    bench.publish(&[tag("first")]).await;
    bench.until_lane("inner", NORMAL, |lane| lane.circuit == CircuitState::Open).await;
    let mut last = 0;
    for _ in 0..360 {
        last = bench.publish_many(20).await;
        bench.pass(SECOND).await;
        assert!(bench.metric("rebounds_waiting", "outer") <= HELD as u64);
    }
    let outer = bench.report("outer", NORMAL).await.line();
    assert!(outer.applied + 40 >= last, "nothing but the barrier");
    assert_eq!(outer.finished, 0, "nothing is final before the inner cache is purged");
    assert!(bench.metric("rebounds_deferred", "outer") > 7_000);
    bench.forget_purges();
    bench.behave("inner", Behaviour::Works);
    bench.until_lane("outer", NORMAL, |lane| lane.line().finished == last).await;
    let order = bench.order();
    for number in (2..=last).step_by(1_000) {
        let at = |cache: &str| {
            let purges = order.iter().enumerate();
            let of = purges.filter(|(_, purge)| **purge == format!("{cache} tag n{number}"));
            of.map(|(at, _)| at).max().expect("it is purged again")
        };
        assert!(at("inner") < at("outer"), "number {number}");
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_pass_of_an_outer_cache_comes_after_that_of_the_inner_one() {
    let delays = vec![SECOND, 5 * SECOND];
    let mut bench =
        Bench::new().cache("inner", |cache| cache.rebounds = delays.clone()).cache("outer", |c| {
            c.after("inner");
            c.rebounds = delays.clone();
        });
    bench.start().await;
    for down in [Duration::ZERO, 30 * SECOND] {
        let published = bench.publish(&[tag("a")]).await;
        bench.until_lane("outer", NORMAL, |lane| lane.line().applied == published).await;
        bench.pass(4 * SECOND).await;
        bench.behave("inner", if down.is_zero() { Behaviour::Works } else { Behaviour::Down });
        bench.pass(down).await;
        bench.behave("inner", Behaviour::Works);
        bench.until_lane("outer", NORMAL, |lane| lane.line().finished == published).await;
        assert_eq!(bench.report("inner", NORMAL).await.line().finished, published);
        assert_eq!(bench.order().last().map(String::as_str), Some("outer tag a"));
        bench.forget_purges();
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outer_cache_goes_back_with_the_cursor_of_the_inner_one() {
    let mut bench =
        Bench::new().cache("inner", |_| {}).cache("outer", |cache| cache.after("inner"));
    bench.start().await;
    let mut numbers = Vec::new();
    for name in ["a", "b"] {
        numbers.push(bench.publish(&[tag(name)]).await);
        let last = numbers[numbers.len() - 1];
        bench.until_lane("outer", NORMAL, |lane| lane.line().finished == last).await;
        bench.stop().await;
        bench.keep_or_restore_cursor("inner", name == "a");
        bench.start_unready();
    }
    // The inner cache was restored from before "b", and its cursor with it.
    for cache in ["inner", "outer"] {
        // The report of the life before says that all is finished.
        bench.until_purged(cache, 6).await;
        bench.until_lane(cache, NORMAL, |lane| lane.ready && lane.line().finished == 2).await;
    }
    let purges =
        |cache: &str, what: &str| bench.purges(cache).iter().filter(|purge| *purge == what).count();
    assert_eq!(["inner", "outer"].map(|cache| purges(cache, "tag a")), [2, 2]);
    assert_eq!(["inner", "outer"].map(|cache| purges(cache, "tag b")), [4, 4]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_behind_fences_has_one_later_pass_unless_others_were_asked_for() {
    const DEFAULT: [Duration; 3] = [SECOND, Duration::from_secs(11), Duration::from_secs(65)];
    let mut bench = Bench::new()
        .cache("default", |cache| cache.rebounds = DEFAULT.to_vec())
        .cache("told", |cache| cache.configured_rebounds(&[SECOND, 5 * SECOND]))
        .cache("outer", |cache| {
            cache.after("told");
            cache.rebounds = DEFAULT.to_vec();
        });
    bench.start().await;
    for cache in ["default", "told", "outer"] {
        bench.behave(cache, Behaviour::Fences);
    }
    let last = bench.publish(&[tag("a")]).await;
    let published = bench.elapsed();
    for (cache, purges, after) in [("default", 2, 2), ("told", 3, 5), ("outer", 4, 65)] {
        bench.until_lane(cache, NORMAL, |lane| lane.line().finished == last).await;
        let took = bench.since(published);
        assert!((after * SECOND..(after + 2) * SECOND).contains(&took), "{cache}: {took:?}");
        assert_eq!(counted(&bench, cache)["tag a"], purges, "{cache}");
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn in_a_new_life_only_a_fence_of_that_life_spares_passes() {
    let mut bench = Bench::new().cache("web", |cache| cache.rebounds = vec![SECOND, 65 * SECOND]);
    bench.start().await;
    bench.behave("web", Behaviour::Fences);
    let last = bench.publish(&[tag("a")]).await;
    bench.until(|lane| lane.line().applied == last).await;
    bench.pass(SECOND).await;
    bench.kill().await;
    bench.forget_purges();
    bench.behave("web", Behaviour::Works);
    bench.start_unready();
    let restarted = bench.elapsed();
    bench.until(|lane| lane.line().finished == last).await;
    assert!(bench.since(restarted) >= 65 * SECOND, "{:?}", bench.since(restarted));
    assert_eq!(counted(&bench, "web")["tag a"], 3);
    bench.stop().await;
}
