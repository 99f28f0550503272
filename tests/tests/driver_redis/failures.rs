//! Servers that cannot, may not or do not answer.

use std::fs;

use agent::driver::{Driver, PurgeError};
use redis::cmd;
use schemas::Selector;
use tests::servers::proxy::Proxy;
use tests::servers::redis::Redis;
use tokio::time::{Duration, Instant, sleep};

use crate::{all_keys, book, fill, info, key, open, open_at, purge, tag};

const KEYS: &str = "key = '{site}:{key}'";
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole chain of an error that says: wait and repeat.
fn unavailable<T: std::fmt::Debug>(outcome: Result<T, PurgeError>) -> String {
    match outcome {
        Err(PurgeError::Unavailable { source, .. }) => source.to_string(),
        other => panic!("{other:?} is not unavailable"),
    }
}

async fn eventually_purges(driver: &dyn Driver) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = purge(driver, [key("1")]).await {
        assert!(Instant::now() < deadline, "it does not recover: {error:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_replica_is_unavailable_and_says_why() {
    let (primary, replica) = (Redis::start().await, Redis::start().await);
    let driver = open_at(replica.address(), KEYS);
    driver.abilities().await.unwrap();
    let (host, port) = (primary.address().ip().to_string(), primary.address().port());
    let mut admin = replica.connect().await;
    cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut admin).await.unwrap();

    let told = unavailable(driver.abilities().await);
    assert_eq!(told, format!("it is a replica of 127.0.0.1:{port}; name the primary in `url`"));
    let told = unavailable(purge(&*driver, [key("1")]).await);
    assert!(told.contains("read only replica"), "{told}");

    cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut admin).await.unwrap();
    eventually_purges(&*driver).await;
}

#[tokio::test]
async fn a_loading_server_is_unavailable_until_it_has_loaded() {
    let mut redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let filling = "for i = 1, 2000 do redis.call('SET', 'main:' .. i, 'content') end";
    cmd("EVAL").arg(filling).arg(0).exec_async(&mut admin).await.unwrap();
    cmd("SAVE").exec_async(&mut admin).await.unwrap();
    redis.stop().await;
    redis.configure("key-load-delay 2000");
    redis.configure("loading-process-events-interval-bytes 1024");
    redis.restart().await;

    let driver = open_at(redis.address(), &format!("{KEYS}, tag = 't:{{site}}:{{tag}}'"));
    for outcome in [purge(&*driver, [key("1")]).await, driver.probe().await] {
        let told = unavailable(outcome);
        assert!(told.contains("loading the dataset"), "{told}");
    }

    let mut admin = redis.connect().await;
    cmd("CONFIG").arg("SET").arg("key-load-delay").arg(0).exec_async(&mut admin).await.unwrap();
    eventually_purges(&*driver).await;
    let gone: bool = cmd("EXISTS").arg("main:1").query_async(&mut admin).await.unwrap();
    assert!(!gone);
}

#[tokio::test]
async fn a_server_busy_with_a_script_is_unavailable() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let mut threshold = cmd("CONFIG");
    threshold.arg("SET").arg("busy-reply-threshold").arg(1);
    threshold.exec_async(&mut admin).await.unwrap();
    let driver = open_at(redis.address(), KEYS);
    driver.abilities().await.unwrap();
    let mut script = redis.connect().await;
    let mut endless = cmd("EVAL");
    endless.arg("while true do end").arg(0);
    let run = async { endless.exec_async(&mut script).await };
    let watch = async {
        let deadline = Instant::now() + PATIENCE;
        while !unavailable_or_done(purge(&*driver, [key("1")]).await)
            .contains("busy running a script")
        {
            assert!(Instant::now() < deadline, "never busy");
        }
        cmd("SCRIPT").arg("KILL").exec_async(&mut admin).await.unwrap();
    };
    let (_, ()) = tokio::join!(run, watch);
    eventually_purges(&*driver).await;
}

fn unavailable_or_done(outcome: Result<(), PurgeError>) -> String {
    if outcome.is_ok() { String::new() } else { unavailable(outcome) }
}

#[tokio::test]
async fn a_full_server_is_purged_all_the_same() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    fill(&mut admin, &["main:1", "main:2"]).await;
    cmd("SADD").arg("tags:main:t").arg("main:2").exec_async(&mut admin).await.unwrap();
    cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec_async(&mut admin).await.unwrap();
    let full = cmd("SET").arg("a").arg("b").exec_async(&mut admin).await.unwrap_err();
    assert_eq!(full.code(), Some("OOM"));

    let driver = open_at(redis.address(), &format!("{KEYS}, tag_set = 'tags:{{site}}:{{tag}}'"));
    driver.abilities().await.unwrap();
    purge(&*driver, [key("1"), tag("t")]).await.unwrap();

    assert!(all_keys(&mut admin).await.is_empty());
}

#[tokio::test]
async fn a_silent_server_is_unavailable_in_time() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    // Another database than the first must be selected before a connection is ready.
    let config = format!("url = 'redis://{}/1'\ntimeout = '500ms'\nkeys.{KEYS}", proxy.address());
    let driver = open(&config);
    driver.abilities().await.unwrap();
    proxy.hold_answers();
    for moment in ["on the old connection", "on a new one"] {
        let answered = tokio::time::timeout(PATIENCE, purge(&*driver, [key("1")])).await;
        unavailable(answered.unwrap_or_else(|_| panic!("it waits for ever {moment}")));
    }
    proxy.pass_answers();
    eventually_purges(&*driver).await;
}

#[tokio::test]
async fn a_batch_of_which_some_answers_are_missing_has_failed() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let driver = open_at(proxy.address(), KEYS);
    driver.abilities().await.unwrap();
    let batch = || (0..1_000).map(|at| key(&at.to_string()));
    // Two UNLINKs are answered by ":0\r\n" each.
    for (bytes, fails) in [(0, true), (3, true), (4, true), (7, true), (8, false)] {
        proxy.cut_answers_after(bytes);
        let outcome = purge(&*driver, batch()).await;
        proxy.pass_answers();
        assert_eq!(outcome.is_err(), fails, "{bytes} bytes of answers: {outcome:?}");
        if fails {
            unavailable(outcome);
            purge(&*driver, batch()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_batch_of_which_one_command_is_forbidden_is_refused() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let mut rights = cmd("ACL");
    rights.arg("SETUSER").arg("default").arg("resetkeys").arg("~main:0*").arg("~purgebus:*");
    let driver = open_at(redis.address(), KEYS);
    driver.abilities().await.unwrap();
    rights.exec_async(&mut admin).await.unwrap();
    // The second command of the pipeline holds the key that is not allowed.
    let mut batch: Vec<_> = (0..600).map(|at| key(&format!("0{at}"))).collect();
    purge(&*driver, batch.clone()).await.unwrap();
    batch.push(key("1"));
    let outcome = purge(&*driver, batch).await;
    assert!(matches!(outcome, Err(PurgeError::Refused(_))), "{outcome:?}");
    // No key of the template is allowed to the probe: the cache is misconfigured.
    let probed = driver.probe().await;
    assert!(matches!(probed, Err(PurgeError::Refused(_))), "{probed:?}");
    let told = unavailable(driver.abilities().await);
    assert!(told.contains("NoPerm"), "{told}");
}

#[tokio::test]
async fn a_changed_password_is_read_from_its_file() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    book::least_privilege().exec_async(&mut admin).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let driver = open(&book::config(redis.address(), &file).to_string());

    let told = unavailable(driver.abilities().await);
    assert!(told.starts_with("cannot read password_file"), "{told}");
    fs::write(&file, "wrong\n").unwrap();
    let told = unavailable(purge(&*driver, [key("1")]).await);
    assert!(told.contains("authentication") || told.contains("WRONGPASS"), "{told}");
    assert!(!told.contains("wrong\n"));
    fs::write(&file, book::PASSWORD).unwrap();
    purge(&*driver, [key("1")]).await.unwrap();
}

#[tokio::test]
async fn selectors_of_no_known_site_are_refused_before_redis_is_asked() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), "url = 'page:{host}{path}', tag = 'tag:{tag}'");
    driver.abilities().await.unwrap();
    fill(&mut admin, &["page:www.example.net/a", "tag:t"]).await;
    let before = info(&mut admin, "stats").await.get::<u64>("total_commands_processed").unwrap();
    let of_another = Selector::Url {
        scheme: schemas::Scheme::Https,
        host: "www.example.net".parse().unwrap(),
        path: "/a".parse().unwrap(),
        query: schemas::QueryMatch::Exact(None),
    };
    for selector in [of_another, Selector::Everything, key("1")] {
        let outcome = purge(&*driver, [selector]).await;
        assert!(matches!(outcome, Err(PurgeError::Refused(_))), "{outcome:?}");
    }
    let after = info(&mut admin, "stats").await.get::<u64>("total_commands_processed").unwrap();
    assert_eq!(after - before, 1, "only INFO was asked");
}
