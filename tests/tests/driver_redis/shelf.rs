//! The key in which the driver keeps a lane's cursor.

use agent::driver::{Content, CursorShelf, PurgeError, Shelved};
use bytes::Bytes;
use redis::cmd;
use tests::servers::redis::Redis;

use crate::open_at;

const KEY: &str = "purgebus:cursor:edge-1:redis:normal";
const KEYS: &str = "key = '{site}:{key}'";

fn bytes(text: &'static str) -> Content {
    Content::Bytes(Bytes::from_static(text.as_bytes()))
}

async fn write(shelf: &dyn CursorShelf, read: &Shelved, cursor: &'static str) -> bool {
    let outcome = shelf.write(read.session, Bytes::from_static(cursor.as_bytes())).await;
    assert!(!matches!(outcome, Err(PurgeError::Refused(_))), "{outcome:?}");
    outcome.is_ok()
}

#[tokio::test]
async fn a_cursor_is_written_only_over_what_was_seen_on_the_same_connection() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let (one, other) = (open_at(redis.address(), KEYS), open_at(redis.address(), KEYS));
    let (one, other) = (one.shelf().unwrap(), other.shelf().unwrap());
    assert_eq!(one.session(), None);

    let first = one.read().await.unwrap();
    assert_eq!((&first.content, one.session()), (&Content::Absent, Some(first.session)));
    for cursor in ["a", "b"] {
        assert!(write(one, &first, cursor).await);
        one.look(first.session).await.unwrap();
    }

    // Another one of that name: each finds that it is not alone.
    let theirs = other.read().await.unwrap();
    assert_eq!((theirs.content.clone(), &theirs.server), (bytes("b"), &first.server));
    assert!(write(other, &theirs, "c").await);
    assert!(!write(one, &first, "d").await);
    assert_eq!(one.session(), None);
    assert!(!write(one, &first, "e").await, "not before it was read again");
    let again = one.read().await.unwrap();
    assert_eq!(again.content, bytes("c"));
    assert_ne!(again.session, first.session);

    // What is evicted is noticed, and known by the server that says so.
    cmd("DEL").arg(KEY).exec_async(&mut admin).await.unwrap();
    one.look(again.session).await.unwrap_err();
    assert_eq!(one.session(), None);
    let evicted = one.read().await.unwrap();
    assert_eq!((evicted.content, evicted.server), (Content::Absent, first.server));
}

#[tokio::test]
async fn a_full_redis_keeps_the_older_cursor_and_its_connection() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), KEYS);
    let shelf = driver.shelf().unwrap();
    let read = shelf.read().await.unwrap();
    assert!(write(shelf, &read, "a").await);
    let limit = async |admin: &mut _, bytes: u32| {
        let mut limit = cmd("CONFIG");
        limit.arg("SET").arg("maxmemory").arg(bytes).exec_async(admin).await.unwrap();
    };
    limit(&mut admin, 1).await;
    assert!(!write(shelf, &read, "b").await);
    shelf.look(read.session).await.unwrap();
    assert_eq!(shelf.session(), Some(read.session));
    limit(&mut admin, 0).await;
    assert!(write(shelf, &read, "c").await);
    assert_eq!(shelf.read().await.unwrap().content, bytes("c"));
}

#[tokio::test]
async fn the_cursors_of_others_are_told_from_its_own_and_from_whatever_else_lies_there() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), KEYS);
    let shelf = driver.shelf().unwrap();
    let read = shelf.read().await.unwrap();
    assert!(write(shelf, &read, "own").await);
    let token = "t".repeat(16);
    for (name, value) in [
        ("edge-2:redis:normal", "theirs"),
        ("edge-1:another:normal", "of another cache"),
        ("edge-2:redis:critical", "of another priority"),
        ("edge-3:redis:normal", &"x".repeat(2 << 20)),
    ] {
        let name = format!("purgebus:cursor:{name}");
        cmd("SET").arg(name).arg(format!("{token}{value}")).exec_async(&mut admin).await.unwrap();
    }
    let list = cmd("LPUSH").arg("purgebus:cursor:edge-4:redis:normal").arg("no string").to_owned();
    list.exec_async(&mut admin).await.unwrap();
    let mut others = shelf.others().await.unwrap();
    others.sort();
    assert_eq!(others, ["of another cache", "theirs"]);
    assert_eq!(shelf.session(), Some(read.session), "its own is as it was");
}
