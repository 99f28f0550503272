//! A Redis that is an older copy of itself: its cursor is older too, and what came since is purged again.

use redis::cmd;
use schemas::api::ProgressState;
use tests::eventually;
use tests::servers::redis::Redis;

use crate::store::{CURSOR, Store};

/// Redis holds three values and has saved them; then two of them change and are purged.
async fn changed_since_it_was_saved() -> (Store, schemas::api::Progress) {
    let store = Store::start().await;
    store.change("early").await;
    store.fill(&["main:a", "main:b", "main:kept", "elsewhere"]).await;
    store.save().await;
    store.change("a").await;
    let last = store.change("b").await;
    store.holds_nothing_stale(&["elsewhere", "main:kept"]).await;
    (store, last)
}

#[tokio::test]
async fn a_redis_restored_while_we_run_is_purged_again_of_what_it_lost() {
    let (mut store, last) = changed_since_it_was_saved().await;
    store.restore().await;

    let taken_back = async || store.state(&last).await != ProgressState::Final;
    eventually("what is not there any more is not claimed", taken_back).await;
    assert!(store.process.admin().is_ready().await, "a site is not taken down for that");
    store.is_final_again(&last).await;

    store.holds_nothing_stale(&["elsewhere", "main:kept"]).await;
    assert_eq!((store.relapses("older").await, store.flushes("no_cursor").await), (1, 0));
}

#[tokio::test]
async fn a_redis_restored_while_we_are_down_is_purged_again_of_what_it_lost() {
    let (mut store, last) = changed_since_it_was_saved().await;
    store.process.terminate().await;
    store.restore().await;
    assert!(store.holds("main:a").await, "it came back");
    store.process.restart().await;
    store.process.ready().await;
    store.no_longer_holds("main:a").await;
    store.is_final_again(&last).await;

    store.holds_nothing_stale(&["elsewhere", "main:kept"]).await;
    assert_eq!((store.relapses("older").await, store.flushes("no_cursor").await), (1, 0));
}

#[tokio::test]
async fn a_redis_that_loads_an_older_copy_without_closing_a_connection_is_found_out() {
    let mut store = Store::start().await;
    store.redis.configure("enable-debug-command yes");
    store.save().await;
    store.restore().await;
    store.fill(&["main:a", "main:kept"]).await;
    store.save().await;
    let cursor = async || {
        let get = cmd("GET").arg(CURSOR).query_async::<Vec<u8>>(&mut store.admin().await).await;
        get.unwrap()
    };
    let saved = cursor().await;
    let last = store.change("a").await;
    eventually("the cursor has moved on", async || cursor().await != saved).await;
    let mut reload = cmd("DEBUG");
    reload.arg("RELOAD").arg("NOSAVE").exec_async(&mut store.admin().await).await.unwrap();

    store.no_longer_holds("main:a").await;
    store.is_final_again(&last).await;
    store.holds_nothing_stale(&["main:kept"]).await;
    assert_eq!(store.flushes("no_cursor").await, 0);
}

#[tokio::test]
async fn a_replica_that_becomes_the_primary_is_purged_again_of_what_it_had_not_heard() {
    let mut store = Store::start().await;
    store.fill(&["main:a", "main:b", "main:kept"]).await;
    store.change("a").await;
    let replica = Redis::start().await;
    let mut admin = replica.connect().await;
    let (host, port) = (store.redis.address().ip().to_string(), store.redis.address().port());
    cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut admin).await.unwrap();
    eventually("the replica has it all", async || {
        let held = cmd("EXISTS").arg("main:b").arg(CURSOR).to_owned();
        held.query_async::<u32>(&mut admin).await.is_ok_and(|held| held == 2)
    })
    .await;
    cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut admin).await.unwrap();
    let last = store.change("b").await;

    store.redis.stop().await;
    let mut take_over = cmd("CONFIG");
    take_over.arg("SET").arg("port").arg(port).exec_async(&mut admin).await.unwrap();

    store.no_longer_holds("main:b").await;
    store.is_final_again(&last).await;
    store.holds_nothing_stale(&["main:kept"]).await;
    assert_eq!((store.relapses("older").await, store.flushes("no_cursor").await), (1, 0));
}
