//! A cursor that is gone from a Redis that is the same as before: it was evicted, and nothing else was lost.

use redis::{InfoDict, cmd};
use schemas::api::ProgressState;
use tests::eventually;

use crate::store::{CURSOR, Store};

#[tokio::test]
async fn an_evicted_cursor_costs_no_flush_and_comes_back() {
    let mut store = Store::start().await;
    store.fill(&["main:a", "main:kept"]).await;
    store.change("a").await;
    store.forget_cursors().await;
    store.cursor_is_there().await;

    // A new connection finds it gone, too.
    store.forget_cursors().await;
    store.break_connections().await;
    store.cursor_is_there().await;

    // And so does a new process.
    store.process.terminate().await;
    store.forget_cursors().await;
    store.process.restart().await;
    store.process.ready().await;
    store.cursor_is_there().await;

    assert_eq!(store.flushes("no_cursor").await, 0);
    for cause in ["older", "missing", "undecodable"] {
        assert_eq!(store.relapses(cause).await, 0, "{cause}");
    }
    store.holds_nothing_stale(&["main:kept"]).await;
}

#[tokio::test]
async fn a_connection_that_breaks_repeats_nothing() {
    let store = Store::start().await;
    let change = store.change("a").await;
    let mut admin = store.admin().await;
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut admin).await.unwrap();
    store.break_connections().await;
    eventually("the cursor is read on a new connection", async || {
        let mut stats = cmd("INFO");
        let stats: InfoDict =
            stats.arg("commandstats").query_async(&mut store.admin().await).await.unwrap();
        stats.get::<String>("cmdstat_info").is_some_and(|info| !info.starts_with("calls=1,"))
    })
    .await;
    store.change("b").await;
    assert_eq!(store.state(&change).await, ProgressState::Final);
    assert_eq!(store.relapses("older").await, 0);
    assert!(store.holds(CURSOR).await);
}
