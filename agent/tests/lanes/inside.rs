//! A cursor that lies inside its cache: what the lane makes of it while it runs, and what it hands over to the lane that
//! comes after it.

use std::time::Duration;

use schemas::{Cursor, Priority};

use crate::bench::{Behaviour, Bench, CacheSettings, OneLine, tag};

const SECOND: Duration = Duration::from_secs(1);
const NORMAL: Priority = Priority::Normal;
const EVERYTHING: &str = "everything";
/// Each lane flushes by itself.
const ONE_PER_PRIORITY: usize = 2;

/// An inner cache that keeps its cursors, and an outer one; "a" is final in both, and so are the cursors.
async fn pair(inner: impl FnOnce(&mut CacheSettings)) -> Bench {
    let mut bench = Bench::new()
        .cache("inner", |cache| {
            cache.keeps_cursors = true;
            inner(cache);
        })
        .cache("outer", |cache| cache.after("inner"));
    bench.start().await;
    publish(&bench, "a").await;
    bench
}

/// Publishes a tag, until all is final and told to the cursors.
async fn publish(bench: &Bench, name: &str) {
    let last = bench.publish(&[tag(name)]).await;
    for cache in ["inner", "outer"] {
        bench.until_lane(cache, NORMAL, |lane| lane.line().finished == last).await;
    }
    bench.pass(5 * SECOND).await;
    bench.forget_purges();
}

fn cursors(bench: &Bench) -> Vec<(Priority, Cursor)> {
    let kept = |priority| Some((priority, bench.kept("inner", priority)?));
    Priority::ALL.into_iter().filter_map(kept).collect()
}

fn count(bench: &Bench, cache: &str, what: &str) -> usize {
    bench.purges(cache).iter().filter(|purge| *purge == what).count()
}

#[tokio::test(start_paused = true)]
async fn what_an_older_cache_has_lost_is_purged_again_there_and_then_in_the_outer_one() {
    let bench = pair(|_| {}).await;
    let earlier = cursors(&bench);
    publish(&bench, "b").await;
    let before = bench.report("inner", NORMAL).await;
    bench.behave("inner", Behaviour::Slow(SECOND / 2));
    bench.restore("inner", &earlier);
    bench.until_lane("inner", NORMAL, |lane| lane.life > before.life).await;
    let claimed = bench.report("inner", NORMAL).await;
    assert!(claimed.line().finished < before.line().finished, "{claimed:?}");
    for cache in ["inner", "outer"] {
        bench.until_lane(cache, NORMAL, |lane| lane.life > 1 && lane.line().finished == 2).await;
    }
    let order = bench.order();
    assert_eq!(order[..2], ["inner tag b", "outer tag b"], "the outer one waits again: {order:?}");
    assert_eq!(order.len(), 4, "each once more at its later pass, and nothing else: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_loses_its_cursor_is_flushed_and_the_outer_one_after_it_each_time() {
    let bench = pair(|cache| cache.rebounds = Vec::new()).await;
    for time in 1..=3 {
        bench.lose_all("inner");
        bench.pass(30 * SECOND).await;
        let order = bench.order();
        let outer = order.iter().position(|purge| purge == "outer everything");
        let inner = order.iter().position(|purge| purge == "inner everything");
        assert!(inner.is_some() && inner < outer, "time {time}: {order:?}");
        assert_eq!(count(&bench, "inner", EVERYTHING), ONE_PER_PRIORITY, "time {time}");
        bench.forget_purges();
    }
    publish(&bench, "b").await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_and_an_evicted_cursor_cost_nothing_and_it_is_kept_again() {
    let bench = pair(|_| {}).await;
    let before = cursors(&bench);
    bench.disconnect("inner");
    bench.pass(10 * SECOND).await;
    bench.evict_cursors("inner");
    bench.pass(10 * SECOND).await;
    assert_eq!(bench.order(), [""; 0]);
    let floors = |cursors: &[(Priority, Cursor)]| -> Vec<_> {
        cursors.iter().map(|(_, cursor)| cursor.lines.clone()).collect()
    };
    assert_eq!(floors(&cursors(&bench)), floors(&before));
    publish(&bench, "b").await;
    assert_eq!(bench.report("inner", NORMAL).await.life, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_cache_without_its_cursor_is_purged_of_the_log_again_and_so_is_the_outer_one() {
    let bench = pair(CacheSettings::shared).await;
    publish(&bench, "b").await;
    bench.lose_all("inner");
    for cache in ["inner", "outer"] {
        bench.until_purged(cache, 4).await;
    }
    bench.pass(30 * SECOND).await;
    for cache in ["inner", "outer"] {
        let purges = ["tag a", "tag b", EVERYTHING].map(|what| count(&bench, cache, what));
        assert_eq!(purges, [2, 2, 0], "{cache}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_agent_has_flushed_for_this_one_takes_the_outer_cache_with_it() {
    for spared in [true, false] {
        let mut bench = pair(CacheSettings::shared).await;
        bench.stop().await;
        let part = "key={key}".to_owned();
        let mut others = cursors(&bench);
        for (_, cursor) in &mut others {
            cursor.parts.insert(part.clone());
        }
        bench.configure("inner").parts.insert(part);
        if spared {
            bench.share("inner", &others);
        }
        bench.start().await;
        bench.pass(30 * SECOND).await;
        let flushes = ["inner", "outer"].map(|cache| count(&bench, cache, EVERYTHING));
        // Each with its last pass.
        let each = 2 * ONE_PER_PRIORITY;
        assert_eq!(flushes, if spared { [0, each] } else { [each, each] }, "spared: {spared}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outer_lane_that_begins_anew_follows_no_return_that_the_one_before_it_has_followed() {
    let mut bench = pair(|_| {}).await;
    let earlier = cursors(&bench);
    publish(&bench, "b").await;
    bench.restore("inner", &earlier);
    bench.until_lane("outer", NORMAL, |lane| lane.life > 1 && lane.line().finished == 2).await;
    bench.pass(5 * SECOND).await;
    assert_eq!(count(&bench, "outer", "tag b"), 2, "{:?}", bench.order());
    bench.forget_purges();
    bench.begun();
    bench.configure("outer").window(999);
    bench.change().await.expect("caches that can be meant");
    assert_eq!(bench.begun(), ["outer"]);
    bench.pass(30 * SECOND).await;
    assert_eq!(bench.order(), [""; 0]);
}
