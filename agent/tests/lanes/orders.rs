//! What humans order, and what lanes leave to them.

use std::time::Duration;

use agent::OnGap;
use schemas::{Mode, Outcome, Priority};

use crate::bench::{Behaviour, Bench, CacheSettings, OneLine, number, tag};

const SECOND: Duration = Duration::from_secs(1);
const ONE_PER_PRIORITY: usize = 2;

fn flushes(bench: &Bench, cache: &str) -> usize {
    bench.purges(cache).iter().filter(|purge| *purge == "everything").count()
}

fn one_pass(cache: &mut CacheSettings) {
    cache.rebounds = vec![];
    cache.flush_spread = 600 * SECOND;
}

#[tokio::test(start_paused = true)]
async fn an_order_flushes_at_once_whom_it_names_and_once_only() {
    let mut bench = Bench::new().cache("web", one_pass).cache("data", one_pass);
    bench.start().await;
    let elsewhere = bench.order_flush(1, "eu-west", None, Mode::Hard);
    let order = bench.order_flush(2, "local", Some("web"), Mode::Hard);
    bench.orders(vec![elsewhere, order.clone()]).await;
    bench.until(|lane| lane.obeyed == [order.id]).await;
    bench.pass(5 * SECOND).await;
    assert_eq!((flushes(&bench, "web"), flushes(&bench, "data")), (ONE_PER_PRIORITY, 0));
    let counted = "purgebus_flushes_total{cache=\"web\",priority=\"normal\",cause=\"ordered\"} 1";
    assert!(bench.metrics().contains(counted), "{}", bench.metrics());
    bench.kill().await;
    bench.start().await;
    bench.until(|lane| lane.obeyed == [order.id]).await;
    bench.pass(90 * SECOND).await;
    assert_eq!(flushes(&bench, "web"), ONE_PER_PRIORITY, "remembered over a restart");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_order_given_while_the_agent_was_away_is_carried_out_unless_it_has_expired() {
    let mut bench = Bench::new().cache("web", one_pass);
    bench.start().await;
    bench.pass(3 * SECOND).await;
    bench.stop().await;
    bench.pass(60 * SECOND).await;
    let mut expired = bench.order_flush(1, "local", None, Mode::Hard);
    expired.expires_at = expired.at;
    let order = bench.order_flush(2, "local", None, Mode::Hard);
    bench.orders(vec![expired, order.clone()]).await;
    bench.start().await;
    bench.until(|lane| lane.obeyed == [order.id]).await;
    bench.pass(5 * SECOND).await;
    assert_eq!(flushes(&bench, "web"), ONE_PER_PRIORITY);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_held_waits_for_its_order_and_says_so() {
    let mut bench = Bench::new().cache("web", |cache| {
        one_pass(cache);
        cache.on_gap(OnGap::Hold);
    });
    bench.start().await;
    let lost = bench.lose(&[tag("lost")]);
    let head = bench.publish(&[tag("b")]).await;
    bench.pass(3_600 * SECOND).await;
    assert_eq!(flushes(&bench, "web"), 0);
    assert_eq!(bench.metric("flush_held", "web"), 1);
    assert_eq!(bench.degraded(), ["lane web.normal"]);
    let lane = bench.report("web", Priority::Normal).await;
    assert!(lane.last_error.is_some_and(|error| error.contains("waits for `purgebus flush`")));
    assert_eq!((lane.lines[0].applied, lane.lines[0].holes.len()), (lost - 1, 1));
    bench.orders(vec![bench.order_flush(1, "local", None, Mode::Soft)]).await;
    bench.until(|lane| lane.obeyed.len() == 1).await;
    bench.pass(5 * SECOND).await;
    assert!(bench.report("web", Priority::Normal).await.line().applied == head, "done hard");
    assert_eq!(bench.metric("flush_held", "web"), 0);
    assert_eq!(bench.degraded(), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_flush_makes_up_for_nothing_that_was_lost() {
    let mut bench = Bench::new().cache("web", |cache| {
        one_pass(cache);
        cache.flush_spread = SECOND;
        cache.on_gap(OnGap::Soft);
        cache.softens = true;
    });
    bench.start().await;
    let lost = bench.lose(&[tag("lost")]);
    bench.publish(&[tag("b")]).await;
    bench.pass(120 * SECOND).await;
    assert_eq!(bench.soft_purges("web"), ["everything"], "at its deadline");
    assert_eq!(flushes(&bench, "web"), 0);
    bench.orders(vec![bench.order_flush(1, "local", None, Mode::Soft)]).await;
    bench.until(|lane| lane.obeyed.len() == 1).await;
    assert_eq!(bench.soft_purges("web").len(), 1 + ONE_PER_PRIORITY);
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!((lane.lines[0].applied, lane.lines[0].holes.len()), (lost - 1, 1));
    assert_eq!(bench.metric("flush_held", "web"), 1);
    bench.orders(vec![bench.order_flush(2, "local", None, Mode::Hard)]).await;
    bench.until(|lane| lane.line().applied > lost).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!(lane.lines[0].exceptions, [(number(lost), Outcome::Flushed)]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_a_cursor_that_may_not_flush_is_not_ready_before_it_is_told_to() {
    let mut bench = Bench::new().cache("web", |cache| {
        one_pass(cache);
        cache.starts_empty = false;
        cache.on_gap(OnGap::Hold);
    });
    bench.start_unready();
    bench.pass(600 * SECOND).await;
    assert_eq!(bench.not_ready().len(), 2, "{:?}", bench.not_ready());
    assert!(bench.not_ready()[0].contains("purgebus flush"), "{:?}", bench.not_ready());
    bench.kill().await;
    bench.start_unready();
    bench.pass(60 * SECOND).await;
    assert_eq!(bench.not_ready().len(), 2, "a restart forgets no debt");
    bench.orders(vec![bench.order_flush(1, "local", None, Mode::Hard)]).await;
    bench.until(|lane| lane.ready).await;
    assert_eq!(flushes(&bench, "web"), ONE_PER_PRIORITY);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_outer_cache_flushes_after_the_inner_one() {
    let mut bench = Bench::new().cache("inner", one_pass).cache("outer", |cache| {
        one_pass(cache);
        cache.after("inner");
    });
    bench.start().await;
    bench.behave("inner", Behaviour::Slow(SECOND / 2));
    bench.orders(vec![bench.order_flush(1, "local", None, Mode::Hard)]).await;
    bench.until_lane("outer", Priority::Normal, |lane| lane.obeyed.len() == 1).await;
    bench.pass(5 * SECOND).await;
    let everything = |cache: &str| vec![format!("{cache} everything"); ONE_PER_PRIORITY];
    assert_eq!(bench.order(), [everything("inner"), everything("outer")].concat());

    bench.forget_purges();
    bench.orders(vec![bench.order_flush(2, "local", Some("inner"), Mode::Hard)]).await;
    bench.until_lane("outer", Priority::Normal, |lane| lane.obeyed.len() == 1).await;
    bench.pass(5 * SECOND).await;
    assert_eq!(bench.order(), [everything("inner"), everything("outer")].concat());

    bench.forget_purges();
    bench.behave("inner", Behaviour::Slow(5 * SECOND));
    bench.orders(vec![bench.order_flush(3, "local", None, Mode::Hard)]).await;
    bench.pass(2 * SECOND).await;
    assert_eq!(bench.order(), everything("outer"), "nobody waits longer than the barrier");
    bench.pass(20 * SECOND).await;
    assert_eq!(flushes(&bench, "outer"), 2 * ONE_PER_PRIORITY, "and again after the inner one");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inner_cache_that_flushes_for_a_gap_takes_the_outer_one_with_it() {
    let mut bench = Bench::new()
        .cache("inner", |cache| {
            one_pass(cache);
            cache.starts_empty = false;
        })
        .cache("outer", |cache| {
            one_pass(cache);
            cache.after("inner");
        });
    bench.start().await;
    bench.pass(5 * SECOND).await;
    let all = bench.order();
    assert_eq!(all.last().map(String::as_str), Some("outer everything"), "{all:?}");
    assert_eq!((flushes(&bench, "inner"), flushes(&bench, "outer")), (2, 2));
    bench.stop().await;
}
