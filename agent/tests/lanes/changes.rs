//! Other caches for an agent at work: what is the same goes on, all else ends and begins where it was.

use std::time::Duration;

use agent::AgentError;
use schemas::{Number, Outcome, Priority};
use tokio::join;

use crate::bench::{Behaviour, Bench, CacheSettings, OneLine, tag};

const SECOND: Duration = Duration::from_secs(1);

fn has_gauges(bench: &Bench, cache: &str) -> bool {
    let of_cache = format!("{{cache=\"{cache}\"");
    bench.metrics().lines().any(|line| {
        line.starts_with(&format!("purgebus_lag_numbers{of_cache}"))
            || line.starts_with(&format!("purgebus_circuit_open{of_cache}"))
            || line.starts_with(&format!("purgebus_rebounds_deferred{of_cache}"))
    })
}

async fn until_finished(bench: &Bench, cache: &str, number: Number) {
    let finished = |lane: &schemas::LaneReport| lane.ready && lane.line().finished == number;
    bench.until_lane(cache, Priority::Normal, finished).await;
}

/// One that is alone, and one that comes after another.
async fn three() -> Bench {
    let mut bench = Bench::new()
        .cache("alone", |_| {})
        .cache("inner", |cache| cache.starts_empty = false)
        .cache("outer", |cache| cache.after("inner"));
    bench.start().await;
    for name in ["a", "b"] {
        let number = bench.publish(&[tag(name)]).await;
        for cache in ["alone", "inner", "outer"] {
            until_finished(&bench, cache, number).await;
        }
    }
    bench.begun();
    bench.forget_purges();
    bench
}

#[tokio::test(start_paused = true)]
async fn only_what_has_changed_begins_anew_and_the_others_purge_meanwhile() {
    let mut bench = three().await;
    let settled = bench.report("inner", Priority::Normal).await.outcomes;
    bench.behave("alone", Behaviour::Slow(3 * SECOND));
    let slow = bench.publish(&[tag("slow")]).await;
    bench.pass(SECOND / 10).await;
    bench.configure("alone").window(99);
    let meanwhile = async {
        bench.pass(SECOND).await;
        bench.publish(&[tag("meanwhile")]).await;
        bench.pass(SECOND).await;
        assert_eq!(bench.purges("alone"), Vec::<String>::new(), "its lanes have not ended");
        ["inner", "outer"].map(|cache| {
            assert!(has_gauges(&bench, cache), "{cache}");
            bench.purges(cache).iter().filter(|purge| *purge == "tag meanwhile").count()
        })
    };
    let (changed, purged) = join!(bench.change(), meanwhile);
    changed.expect("other caches");
    assert_eq!(purged, [1, 1]);
    assert_eq!(bench.begun(), ["alone"]);
    // What was not final is repeated by the lanes that began anew.
    for (cache, passes) in [("alone", 5), ("inner", 4), ("outer", 4)] {
        until_finished(&bench, cache, slow + 1).await;
        assert_eq!(
            (bench.distinct_purges(cache), bench.purges(cache).len()),
            (2, passes),
            "{cache}"
        );
    }
    assert!(
        bench.report("inner", Priority::Normal).await.outcomes.of(Outcome::Purged)
            > settled.of(Outcome::Purged)
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outer_cache_begins_anew_with_its_inner_one_and_not_the_other_way_round() {
    let mut bench = three().await;
    // From now on there is a cursor that the inner lane began with, and the outer one went back to.
    bench.stop().await;
    bench.start().await;
    let number = bench.publish(&[tag("since")]).await;
    until_finished(&bench, "outer", number).await;
    bench.begun();
    bench.forget_purges();
    for (changed, begun) in [("outer", vec!["outer"]), ("inner", vec!["inner", "outer"])] {
        bench.configure(changed).window(99);
        bench.change().await.expect("other caches");
        assert_eq!(bench.begun(), begun, "{changed} has changed");
        let number = bench.publish(&[tag(changed)]).await;
        for cache in ["alone", "inner", "outer"] {
            until_finished(&bench, cache, number).await;
            assert_eq!(bench.distinct_purges(cache), 1, "{cache}");
        }
        bench.forget_purges();
    }
    bench.change().await.expect("the same caches");
    assert_eq!(bench.begun(), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_leaves_report_gauges_and_readiness_and_what_is_added_comes() {
    let mut bench = three().await;
    bench.remove("alone");
    bench.add("added", |cache: &mut CacheSettings| cache.after("outer"));
    bench.change().await.expect("other caches");
    assert!(!has_gauges(&bench, "alone") && has_gauges(&bench, "outer"));
    assert_eq!(bench.begun(), ["added"]);
    let reasons = bench.not_ready();
    assert!(reasons.len() == 2 && reasons.iter().all(|it| it.contains("added")), "{reasons:?}");
    bench.until_lane("added", Priority::Normal, |lane| lane.ready).await;
    let number = bench.publish(&[tag("c")]).await;
    for cache in ["inner", "outer", "added"] {
        until_finished(&bench, cache, number).await;
        assert_eq!(bench.distinct_purges(cache), 1, "{cache}");
    }
    assert_eq!(bench.purges("alone"), Vec::<String>::new());
    assert_eq!(bench.caches().await, ["inner", "outer", "added"]);
    assert!(bench.is_ready());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_added_cache_takes_no_base_before_the_board_has_taken_its_name() {
    let mut bench = three().await;
    bench.refuse_reports(true);
    bench.add("added", |_| {});
    bench.change().await.expect("other caches");
    bench.pass(30 * SECOND).await;
    let before = bench.publish(&[tag("before")]).await;
    bench.pass(10 * SECOND).await;
    assert_eq!((bench.purges("added").len(), bench.purges("alone").len()), (0, 2));
    bench.refuse_reports(false);
    bench.until_lane("added", Priority::Normal, |lane| lane.ready).await;
    assert_eq!(bench.report("added", Priority::Normal).await.line().base, before);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn caches_that_cannot_be_meant_change_nothing() {
    let mut bench = three().await;
    bench.configure("alone").window(99);
    bench.remove("inner");
    let refused = bench.change().await;
    assert!(matches!(refused, Err(AgentError::UnknownInner { .. })), "{refused:?}");
    assert_eq!(bench.begun(), Vec::<String>::new());
    let number = bench.publish(&[tag("c")]).await;
    for cache in ["alone", "inner", "outer"] {
        until_finished(&bench, cache, number).await;
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_stopped_while_its_caches_change_stops() {
    let mut bench = three().await;
    bench.behave("alone", Behaviour::Slow(3 * SECOND));
    bench.publish(&[tag("slow")]).await;
    bench.pass(SECOND / 10).await;
    bench.remove("alone");
    let (stop, begun) = (bench.stopping(), bench.elapsed());
    let (changed, ()) = join!(bench.change(), async {
        bench.pass(SECOND).await;
        stop.request();
    });
    assert!(matches!(changed, Err(AgentError::Ended)), "{changed:?}");
    bench.stop().await;
    assert!(bench.since(begun) < 4 * SECOND, "what was under way has landed, and no more");
    assert!(matches!(bench.change().await, Err(AgentError::Ended)));
}
