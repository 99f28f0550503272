//! Lanes at work on a real embedded log, in front of model caches, under paused time.

mod bench;
mod changes;
mod dead_letters;
mod gate;
mod inside;
mod orders;
mod outage;
mod passes;
mod starts;

use std::time::Duration;

use bench::{Behaviour, Bench, OneLine, number, tag};
use schemas::{CircuitState, Outcome, Priority};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_number_is_purged_at_once_and_again_after_each_delay() {
    let mut bench = Bench::new().cache("web", |cache| cache.rebounds = vec![SECOND, 11 * SECOND]);
    bench.start().await;
    let published = bench.publish(&[tag("a")]).await;
    bench.until(|lane| lane.line().applied == published).await;
    assert_eq!(bench.purges("web"), ["tag a"]);
    assert!(bench.elapsed() < SECOND / 10, "an idle lane sends at once");
    bench.until(|lane| lane.line().finished == published).await;
    assert_eq!(bench.purges("web").len(), 3);
    assert!(bench.elapsed() >= 11 * SECOND);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_outer_cache_waits_for_the_inner_but_no_longer_than_the_barrier() {
    let mut bench =
        Bench::new().cache("inner", |_| {}).cache("outer", |cache| cache.after("inner"));
    bench.start().await;
    bench.behave("inner", Behaviour::Slow(SECOND / 2));
    bench.publish(&[tag("a")]).await;
    bench.until_purged("outer", 1).await;
    assert_eq!(bench.order(), ["inner tag a", "outer tag a"]);
    bench.behave("inner", Behaviour::Slow(30 * SECOND));
    let before = bench.elapsed();
    bench.publish(&[tag("b")]).await;
    bench.until_purged("outer", 2).await;
    let waited = bench.since(before);
    assert!(waited >= SECOND && waited < 2 * SECOND, "waited {waited:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inner_cache_that_is_down_holds_up_nothing_but_the_final_pass() {
    let mut bench =
        Bench::new().cache("inner", |_| {}).cache("outer", |cache| cache.after("inner"));
    bench.start().await;
    bench.behave("inner", Behaviour::Down);
    bench.publish(&[tag("a")]).await;
    bench.until_lane("inner", Priority::Normal, |lane| lane.circuit == CircuitState::Open).await;
    let before = bench.elapsed();
    let published = bench.publish(&[tag("b")]).await;
    bench.until_lane("outer", Priority::Normal, |lane| lane.lines[0].applied == published).await;
    assert!(bench.since(before) < SECOND / 10);
    bench.pass(100 * SECOND).await;
    assert!(bench.report("outer", Priority::Normal).await.lines[0].finished < published);
    bench.behave("inner", Behaviour::Works);
    bench.until_lane("outer", Priority::Normal, |lane| lane.lines[0].finished == published).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_comes_back_is_purged_of_all_it_missed() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Down);
    let mut last = 0;
    for name in 0..50 {
        last = bench.publish(&[tag(&format!("t{name}"))]).await;
    }
    bench.until(|lane| lane.circuit == CircuitState::Open && lane.last_error.is_some()).await;
    bench.behave("web", Behaviour::Works);
    bench.until(|lane| lane.line().applied == last).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!((lane.circuit, lane.last_error), (CircuitState::Closed, None));
    assert_eq!(bench.distinct_purges("web"), 50);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_refused_selector_among_many_becomes_the_only_dead_letter() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Refuses("bad".to_owned()));
    bench.publish_many(5_000).await;
    let bad = bench.publish(&[tag("bad")]).await;
    let last = bench.publish_many(4_999).await;
    bench.until(|lane| lane.line().applied == last).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!(lane.outcomes.of(Outcome::Refused), 1);
    assert_eq!(lane.lines[0].exceptions, [(number(bad), Outcome::Refused)]);
    assert_eq!(bench.distinct_purges("web"), 9_999);
    bench.pass(3 * SECOND).await;
    bench.kill().await;
    bench.start().await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!(lane.lines[0].exceptions, [(number(bad), Outcome::Refused)], "it is kept");
    assert_eq!(bench.metric("dead_letters", "web"), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_refuses_its_own_probe_makes_no_dead_letters() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::RefusesAll);
    let last = bench.publish(&[tag("a"), tag("b")]).await;
    bench.until(|lane| lane.circuit == CircuitState::Open).await;
    bench.pass(600 * SECOND).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!(lane.circuit, CircuitState::Open);
    assert_eq!((lane.outcomes.of(Outcome::Refused), lane.dead_letters.count), (0, 0));
    assert!(lane.last_error.is_some_and(|error| error.contains("misconfigured")));
    bench.behave("web", Behaviour::Works);
    bench.until(|lane| lane.line().applied == last).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_repeats_what_was_not_final_and_nothing_else() {
    let mut bench = Bench::new().cache("web", |cache| cache.rebounds = vec![5 * SECOND]);
    bench.start().await;
    let first = bench.publish(&[tag("final")]).await;
    bench.until(|lane| lane.line().finished == first).await;
    bench.pass(3 * SECOND).await;
    let second = bench.publish(&[tag("applied")]).await;
    bench.until(|lane| lane.line().applied == second).await;
    bench.kill().await;
    bench.forget_purges();
    bench.start().await;
    bench.until(|lane| lane.line().finished == second).await;
    assert!(bench.purges("web").iter().all(|purge| purge == "tag applied"));
    assert!(!bench.purges("web").is_empty());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_a_cursor_flushes_and_then_owes_only_what_is_new() {
    let mut bench = Bench::new().cache("web", |cache| cache.starts_empty = false);
    let old = bench.publish(&[tag("old")]).await;
    bench.start_unready();
    bench.until(|lane| lane.ready).await;
    assert_eq!(bench.purges("web"), ["everything", "everything"], "one per priority");
    assert_eq!(bench.report("web", Priority::Normal).await.lines[0].base, old);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_ours_is_parked_and_counted() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.publish_bytes(b"\xff\xfenot a frame").await;
    let last = bench.publish(&[tag("a")]).await;
    bench.until(|lane| lane.line().applied == last).await;
    let parked = r#"purgebus_parked_total{cache="web",priority="normal",reason="malformed"} 1"#;
    assert!(bench.metrics().contains(parked));
    let lane = bench.report("web", Priority::Normal).await;
    assert!(lane.last_error.is_some_and(|error| error.contains("shorter than its header")));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_reported_after_the_grace_and_flushed_after_the_deadline() {
    let mut bench = Bench::new().cache("web", |cache| cache.flush_spread = SECOND);
    bench.start().await;
    bench.publish(&[tag("a")]).await;
    let lost = bench.lose(&[tag("lost")]);
    let head = bench.publish(&[tag("b")]).await;
    bench.until(|lane| lane.line().holes == [number(lost)]).await;
    assert_eq!(bench.report("web", Priority::Normal).await.lines[0].applied, lost - 1);
    bench.until(|lane| lane.line().finished == head).await;
    assert!(bench.purges("web").contains(&"everything".to_owned()));
    assert_eq!(bench.report("web", Priority::Normal).await.outcomes.of(Outcome::Flushed), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn critical_ones_do_not_wait_behind_normal_ones() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Slow(SECOND / 10));
    for name in 0..2_000 {
        bench.publish(&[tag(&format!("t{name}"))]).await;
    }
    let before = bench.elapsed();
    let critical = bench.publish_critical(&[tag("now")]).await;
    bench
        .until_lane("web", Priority::Critical, |lane| {
            lane.lines.first().is_some_and(|line| line.applied == critical)
        })
        .await;
    assert!(bench.since(before) < SECOND / 2);
    assert!(bench.report("web", Priority::Normal).await.lag > 0, "the flood is still under way");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_cache_without_a_cursor_is_purged_of_all_that_the_log_holds_and_never_flushed() {
    let mut bench = Bench::new().cache("web", bench::CacheSettings::shared);
    for name in ["a", "b"] {
        bench.publish(&[tag(name)]).await;
    }
    bench.start().await;
    let last = bench.publish(&[tag("c")]).await;
    bench.until(|lane| lane.line().finished == last).await;
    assert_eq!(bench.report("web", Priority::Normal).await.lines[0].base, 0);
    assert_eq!(bench.distinct_purges("web"), 3);
    assert!(!bench.purges("web").contains(&"everything".to_owned()));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ready_lane_that_falls_behind_is_degraded_but_stays_ready() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Down);
    bench.publish(&[tag("a")]).await;
    bench.pass(20 * SECOND).await;
    assert_eq!(bench.degraded(), Vec::<String>::new());
    bench.pass(20 * SECOND).await;
    assert_eq!(bench.degraded(), ["lane web.normal"]);
    assert!(bench.is_ready());
    bench.behave("web", Behaviour::Works);
    bench.pass(20 * SECOND).await;
    assert_eq!(bench.degraded(), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_expires_does_so_by_the_clock_of_its_publisher() {
    for (passes, purged) in [(9 * SECOND, 1), (12 * SECOND, 0)] {
        let mut bench = Bench::new().cache("web", |cache| cache.rebounds = vec![]);
        bench.start().await;
        bench.behave("web", Behaviour::Down);
        let mut frame = bench.withhold(&[tag("a")]);
        let last = frame.first;
        frame.invalidations[0].accepted_at = bench.publisher_time();
        frame.invalidations[0].expires_in = Some(10 * SECOND);
        bench.say(&schemas::LogMessage::Frame(frame)).await;
        bench.pass(passes).await;
        bench.quiet();
        bench.pass(60 * SECOND).await;
        bench.behave("web", Behaviour::Works);
        bench.until(|lane| lane.line().applied == last).await;
        assert_eq!(
            bench.purges("web").len(),
            purged,
            "its publisher was last heard after {passes:?}"
        );
        let outcomes = bench.report("web", Priority::Normal).await.outcomes;
        assert_eq!(outcomes.of(Outcome::Expired), 1 - purged as u64);
        bench.stop().await;
    }
}
