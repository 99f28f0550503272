//! Tag sets: what goes with them, what does not, and what is stored meanwhile.

use agent::driver::PurgeError;
use redis::aio::MultiplexedConnection;
use redis::{cmd, pipe};
use tests::servers::proxy::Proxy;
use tests::servers::redis::Redis;
use tokio::time::{Duration, sleep, timeout};

use crate::{all_keys, fill, info, open_at, purge, tag};

const KEYS: &str = "url = 'page:{host}{path}', tag_set = 'tags:{site}:{tag}', key = '{site}:{key}'";

async fn tagged(admin: &mut MultiplexedConnection, set: &str, keys: &[&str]) {
    cmd("SADD").arg(set).arg(keys).exec_async(admin).await.unwrap();
}

fn source(error: &PurgeError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test]
async fn a_large_set_goes_with_all_its_members() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let filling = "for i = 1, 10000 do \
         redis.call('SET', 'main:' .. i, 'content'); redis.call('SADD', 'tags:main:t', 'main:' .. i) end";
    cmd("EVAL").arg(filling).arg(0).exec_async(&mut admin).await.unwrap();
    fill(&mut admin, &["main:untagged"]).await;
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut admin).await.unwrap();

    let driver = open_at(redis.address(), KEYS);
    purge(&*driver, [tag("t")]).await.unwrap();

    let stats = info(&mut admin, "commandstats").await;
    assert_eq!(all_keys(&mut admin).await, ["main:untagged"]);
    let scan = stats.get::<String>("cmdstat_sscan").unwrap();
    let steps: u64 = scan.split(['=', ',']).nth(1).unwrap().parse().unwrap();
    assert!(steps >= 10, "{steps} steps for 10,000 members hold Redis for long");
    assert!(!stats.contains_key(&"cmdstat_smembers"));
}

#[tokio::test]
async fn a_member_that_is_not_the_sites_content_stays_and_is_told() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), KEYS);
    let foreign = ["other:1", "page:www.example.net/a", "tags:main:u", "unknown", "mainly:1"];
    for member in foreign {
        fill(&mut admin, &[member, "main:1"]).await;
        tagged(&mut admin, "tags:main:t", &[member, "main:1"]).await;

        let error = purge(&*driver, [tag("t")]).await.unwrap_err();

        assert!(matches!(error, PurgeError::Refused(_)), "{error:?}");
        assert!(source(&error).contains(&format!("{member:?}")), "{}", source(&error));
        let mut expected = [member, "tags:main:t"];
        expected.sort_unstable();
        assert_eq!(all_keys(&mut admin).await, expected);
        cmd("FLUSHALL").exec_async(&mut admin).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_stored_during_the_purge_keeps_its_tag() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let mut admin = redis.connect().await;
    let driver = open_at(proxy.address(), KEYS);
    driver.abilities().await.unwrap();
    fill(&mut admin, &["main:old"]).await;
    tagged(&mut admin, "tags:main:t", &["main:old"]).await;
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut admin).await.unwrap();

    proxy.hold_answers();
    let store_meanwhile = async {
        while info(&mut admin, "commandstats").await.get::<String>("cmdstat_sscan").is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        let mut store = pipe();
        store.atomic().cmd("SET").arg("main:new").arg("content").ignore();
        store.cmd("SADD").arg("tags:main:t").arg("main:new").ignore();
        store.exec_async(&mut admin).await.unwrap();
        proxy.pass_answers();
    };
    let (purged, stored) = tokio::join!(
        purge(&*driver, [tag("t")]),
        timeout(Duration::from_secs(10), store_meanwhile)
    );
    purged.unwrap();
    stored.unwrap();
    assert_eq!(all_keys(&mut admin).await, ["main:new", "tags:main:t"]);

    purge(&*driver, [tag("t")]).await.unwrap();
    assert!(all_keys(&mut admin).await.is_empty());
}

#[tokio::test]
async fn a_purge_cut_short_finds_the_rest_when_repeated() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let mut admin = redis.connect().await;
    let driver = open_at(proxy.address(), KEYS);
    for bytes in 0..80 {
        driver.probe().await.unwrap();
        fill(&mut admin, &["main:1", "main:2"]).await;
        tagged(&mut admin, "tags:main:t", &["main:1", "main:2"]).await;
        proxy.cut_answers_after(bytes);
        let first = purge(&*driver, [tag("t")]).await;
        proxy.pass_answers();
        if let Err(error) = &first {
            assert!(matches!(error, PurgeError::Unavailable { .. }), "{error:?}");
            purge(&*driver, [tag("t")]).await.unwrap();
        }
        assert!(all_keys(&mut admin).await.is_empty(), "cut after {bytes} bytes: {first:?}");
    }
}

#[tokio::test]
async fn a_tag_may_name_one_key_and_a_set_at_once() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), &format!("tag = 'tag:{{site}}:{{tag}}', {KEYS}"));
    fill(&mut admin, &["tag:main:t", "main:1", "tag:main:u"]).await;
    tagged(&mut admin, "tags:main:t", &["main:1"]).await;

    purge(&*driver, [tag("t")]).await.unwrap();

    assert_eq!(all_keys(&mut admin).await, ["tag:main:u"]);
}

#[tokio::test]
async fn a_set_that_is_no_set_is_refused() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), KEYS);
    fill(&mut admin, &["tags:main:t"]).await;
    let error = purge(&*driver, [tag("t")]).await.unwrap_err();
    assert!(matches!(error, PurgeError::Refused(_)) && source(&error).contains("WRONGTYPE"));
    driver.probe().await.unwrap();
}
