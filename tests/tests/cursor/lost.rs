//! A Redis that is not the one of before and holds no cursor, or something that is none: it is flushed, unless others
//! use it too.

use redis::{Cmd, cmd};

use crate::store::{CURSOR, KEYS, Store};

#[tokio::test]
async fn a_redis_without_a_cursor_is_flushed_whether_we_run_or_not() {
    let mut store = Store::start().await;
    store.fill(&["main:a", "main:b", "elsewhere"]).await;
    store.save_without_cursors().await;
    store.change("a").await;
    store.restore().await;
    store.no_longer_holds("main:a").await;
    store.cursor_is_there().await;
    assert_eq!((store.relapses("missing").await, store.flushes("no_cursor").await), (1, 1));
    store.holds_nothing_stale(&["elsewhere"]).await;

    store.passes_are_over().await;
    store.fill(&["main:c"]).await;
    store.save_without_cursors().await;
    store.change("c").await;
    store.process.kill();
    store.restore().await;
    store.process.restart().await;
    store.process.ready().await;
    assert_eq!((store.relapses("missing").await, store.flushes("no_cursor").await), (1, 1));
    store.holds_nothing_stale(&["elsewhere"]).await;
}

#[tokio::test]
async fn an_agent_without_its_state_folder_goes_on_from_the_cursor_in_redis() {
    let mut store = Store::start().await;
    store.change("early").await;
    store.process.terminate().await;
    std::fs::remove_dir_all(store.process.home().state()).unwrap();
    store.fill(&["main:kept"]).await;
    store.process.restart().await;
    store.process.ready().await;
    store.fill(&["main:a"]).await;
    store.change("a").await;
    store.holds_nothing_stale(&["main:kept"]).await;
    assert_eq!(store.flushes("no_cursor").await, 0);
}

#[tokio::test]
async fn a_redis_that_others_use_too_is_purged_of_what_the_log_holds_and_never_flushed() {
    let mut store = Store::with(&format!("{KEYS}\nshared = true")).await;
    store.fill(&["main:a", "main:b", "main:theirs"]).await;
    store.save_without_cursors().await;
    store.change("a").await;
    store.change("b").await;
    store.restore().await;
    store.no_longer_holds("main:a").await;
    store.no_longer_holds("main:b").await;
    store.cursor_is_there().await;
    store.holds_nothing_stale(&["main:theirs"]).await;
    assert_eq!((store.relapses("missing").await, store.flushes("no_cursor").await), (1, 0));
}

/// What anybody who may write to Redis can put in the cursor's place.
fn hostile() -> [(&'static str, Cmd); 4] {
    let set = |value: &[u8]| cmd("SET").arg(CURSOR).arg(value).to_owned();
    let list = cmd("LPUSH").arg(CURSOR).arg("no string").to_owned();
    let huge = cmd("SETRANGE").arg(CURSOR).arg(20 << 20).arg("far").to_owned();
    [("short", set(b"x")), ("noise", set(&[0xff; 500])), ("list", list), ("huge", huge)]
}

#[tokio::test]
async fn a_cursor_that_is_none_is_said_and_the_cache_flushed() {
    let store = Store::start().await;
    for (at, (name, put)) in (1..).zip(hostile()) {
        store.fill(&["main:a", "elsewhere"]).await;
        let mut admin = store.admin().await;
        cmd("DEL").arg(CURSOR).exec_async(&mut admin).await.unwrap();
        put.exec_async(&mut admin).await.unwrap();
        store.no_longer_holds("main:a").await;
        assert_eq!(store.relapses("undecodable").await, at, "{name}");
        assert!(store.process.log().contains("what the cache holds is no cursor"));
        store.passes_are_over().await;
        store.holds_nothing_stale(&["elsewhere"]).await;
    }
}
