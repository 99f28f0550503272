//! The Redis driver on a real redis-server, configured and authorised as the book says.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "driver_redis/book.rs"]
mod book;
#[path = "driver_redis/failures.rs"]
mod failures;
#[path = "driver_redis/shelf.rs"]
mod shelf;
#[path = "driver_redis/specimen.rs"]
mod specimen;
#[path = "driver_redis/tag_sets.rs"]
mod tag_sets;
#[path = "driver_redis/tls.rs"]
mod tls;

use std::pin::pin;
use std::sync::Arc;

use agent::driver::{
    self, Batch, Driver, DriverConfig, Purge, PurgeError, Surroundings, conformance,
};
use redis::aio::MultiplexedConnection;
use redis::{InfoDict, cmd, pipe};
use schemas::{Ability, Mode, Selector};
use tests::servers::redis::Redis;
use tokio::time::Instant;

use self::specimen::{Held, Specimen};

/// A driver of the suite's sites, with the TOML of its own keys.
fn open(config: &str) -> Arc<dyn Driver> {
    let surroundings = Surroundings {
        sites: conformance::sites(),
        region: "local".parse().unwrap(),
        agent: "edge-1".parse().unwrap(),
        cache: "redis".parse().unwrap(),
        priority: schemas::Priority::Normal,
        instance: uuid::Uuid::new_v4(),
    };
    driver::open(&DriverConfig::Redis(toml::from_str(config).unwrap()), &surroundings)
}

/// The same at `address`, as `default` and with `keys`.
fn open_at(address: std::net::SocketAddr, keys: &str) -> Arc<dyn Driver> {
    open(&format!("url = 'redis://{address}'\ntimeout = '500ms'\nkeys = {{ {keys} }}"))
}

/// A purge of the site `main`.
async fn purge(
    driver: &dyn Driver,
    selectors: impl IntoIterator<Item = Selector>,
) -> Result<(), PurgeError> {
    let site: schemas::SiteName = "main".parse().unwrap();
    let purge = |selector| Purge::new(site.clone(), selector, Mode::Hard);
    let batch = Batch { purges: selectors.into_iter().map(purge).collect() };
    driver.purge(&batch).await.map(|_| ())
}

fn key(key: &str) -> Selector {
    Selector::Key(key.parse().unwrap())
}

fn tag(tag: &str) -> Selector {
    Selector::Tag(tag.parse().unwrap())
}

async fn fill(admin: &mut MultiplexedConnection, keys: &[&str]) {
    let mut sets = pipe();
    for key in keys {
        sets.cmd("SET").arg(key).arg("content").ignore();
    }
    sets.exec_async(admin).await.unwrap();
}

async fn all_keys(admin: &mut MultiplexedConnection) -> Vec<String> {
    let mut keys: Vec<String> = cmd("KEYS").arg("*").query_async(admin).await.unwrap();
    keys.sort();
    keys
}

async fn info(admin: &mut MultiplexedConnection, section: &str) -> InfoDict {
    cmd("INFO").arg(section).query_async(admin).await.unwrap()
}

#[tokio::test]
async fn it_passes_the_suite_as_the_book_configures_it() {
    conformance::run(&mut Specimen::start(Held::PagesAndKeys).await).await;
}

#[tokio::test]
async fn it_passes_the_suite_with_raw_keys_alone() {
    conformance::run(&mut Specimen::start(Held::Keys).await).await;
}

#[tokio::test]
async fn a_template_full_of_glob_characters_sweeps_only_itself() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), r"key = 'h[ae]l*o?\:{site}:{key}'");
    let others = ["hallo1\\:main:a", "hello1\\:main:a", r"h[ae]lXo?\:main:a", r"h[ae]l*o?:main:a"];
    fill(&mut admin, &others).await;
    fill(&mut admin, &[r"h[ae]l*o?\:main:a", r"h[ae]l*o?\:main:*"]).await;

    purge(&*driver, [Selector::Everything]).await.unwrap();

    let mut expected = others.map(str::to_owned);
    expected.sort();
    assert_eq!(all_keys(&mut admin).await, expected);
}

#[tokio::test]
async fn a_url_without_a_query_in_its_template_goes_with_any() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), "url = 'page:{host}{path}'");
    assert_eq!(driver.abilities().await.unwrap().url_any_query, Ability::Supported);
    fill(&mut admin, &["page:www.example.com/a", "page:www.example.com/b"]).await;

    let any = Selector::Url {
        scheme: schemas::Scheme::Https,
        host: "www.example.com".parse().unwrap(),
        path: "/a".parse().unwrap(),
        query: schemas::QueryMatch::Any,
    };
    purge(&*driver, [any]).await.unwrap();

    assert_eq!(all_keys(&mut admin).await, ["page:www.example.com/b"]);
}

#[tokio::test]
async fn everything_of_a_large_site_goes_in_steps_that_leave_redis_to_others() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    for (prefix, count) in [("main", 100_000), ("other", 5_000), ("mainly", 5_000)] {
        let fill = "for i = 1, ARGV[2] do redis.call('SET', ARGV[1] .. ':' .. i, 'content') end";
        cmd("EVAL").arg(fill).arg(0).arg(prefix).arg(count).exec_async(&mut admin).await.unwrap();
    }
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut admin).await.unwrap();
    let driver = open_at(redis.address(), "key = '{site}:{key}'");

    let mut sweep = pin!(purge(&*driver, [Selector::Everything]));
    let ping = cmd("PING");
    let mut pings = Vec::new();
    loop {
        let asked = Instant::now();
        tokio::select! {
            outcome = &mut sweep => break outcome.unwrap(),
            answer = ping.exec_async(&mut admin) => answer.unwrap(),
        }
        pings.push(asked.elapsed());
    }

    let mut admin = redis.connect().await;
    let left: u64 = cmd("DBSIZE").query_async(&mut admin).await.unwrap();
    let stats = info(&mut admin, "commandstats").await;
    println!("{} pings beside the sweep, the longest took {:?}", pings.len(), pings.iter().max());
    assert_eq!(left, 10_000);
    assert!(stats.contains_key(&"cmdstat_scan") && !stats.contains_key(&"cmdstat_keys"));
    let scan = stats.get::<String>("cmdstat_scan").unwrap();
    let steps: u64 = scan.split(['=', ',']).nth(1).unwrap().parse().unwrap();
    assert!(steps >= 110_000 / 1_000, "{steps} steps for 110,000 keys hold Redis for long");
    assert!(pings.len() > 1, "nobody was served during the sweep");
}

#[tokio::test]
async fn purges_share_one_connection() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let driver = open_at(redis.address(), "key = '{site}:{key}'");
    driver.abilities().await.unwrap();
    let connections = async |admin: &mut MultiplexedConnection| {
        info(admin, "stats").await.get::<u64>("total_connections_received").unwrap()
    };
    let before = connections(&mut admin).await;
    for _ in 0..10 {
        purge(&*driver, [key("a")]).await.unwrap();
    }
    assert_eq!(connections(&mut admin).await, before);
}
