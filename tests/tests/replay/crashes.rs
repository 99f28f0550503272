//! A replay into one of two regions, while its publisher, or the command that began it, is killed.

use serde_json::Value;
use tests::bus::{QUICK, Wire};
use tests::eventually;
use tests::serve::{Api, DATA, Serve, Settings};
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tests::servers::redis::Redis;

use crate::command::{Running, held, publish, replay, restore};
use crate::two_regions::TwoRegions;

/// So many that a replay of them takes some seconds.
const COUNT: usize = 60;
const RATE: &str = "25";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_through_the_embedded_log_over_a_crash_of_the_process() {
    let redis = Redis::start().await;
    let settings = Settings::default().redis(redis.address(), DATA, QUICK);
    let mut serve = Serve::start_ready(settings).await;
    publish(serve.api(), 0..COUNT, true).await;
    restore(&redis, 0..COUNT).await;
    let arguments = ["--since", "1h", "--rate", RATE, "--detach"];
    let begun = replay(serve.api(), &arguments).await;
    let path = path_of(&begun.json());
    has_published(serve.api(), &path, 10).await;
    serve.kill();
    serve.restart().await;
    ends(serve.api(), &path, "done").await;
    eventually("nothing stale is left", async || held(&redis).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_through_nats_over_crashes_of_either_side() {
    let nats = Nats::start().await;
    goes_over_crashes_of_either_side(Wire::nats([nats.url()])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_through_kafka_over_crashes_of_either_side() {
    let kafka = Kafka::shared().await;
    goes_over_crashes_of_either_side(Wire::kafka([kafka.address()]).with("partitions = 2")).await;
}

async fn goes_over_crashes_of_either_side(wire: Wire) {
    let mut regions = TwoRegions::start(wire).await;
    let api = regions.api();
    publish(&api, 0..COUNT, true).await;
    for redis in [&regions.europe, &regions.america] {
        restore(redis, 0..COUNT).await;
    }
    let shown = replay(&api, &["--since", "1h", "--region", "eu-west", "--dry-run"]).await;
    assert_eq!(shown.matched(), COUNT as u64);
    assert_eq!(shown.json()["counts"]["regions"]["eu-west"], COUNT as u64);

    // The publisher is killed while somebody watches.
    let running = Running::start(&api, &["--since", "1h", "--region", "eu-west", "--rate", RATE]);
    let path = the_one_that_runs(&api).await;
    has_published(&api, &path, 10).await;
    regions.bus.publishers[0].kill();
    regions.bus.publishers[0].restart().await;
    // Then whoever watches is interrupted, and goes on.
    has_published(&api, &path, 30).await;
    running.interrupt();
    let told = running.end().await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let id = path.rsplit('/').next().expect("an id");
    assert!(told.errors.contains(&format!("purgebus replay --resume {id}")), "{told:?}");
    assert_eq!(told.json()["state"], "cancelled");
    let told = replay(&api, &["--resume", id]).await;
    assert_eq!((told.code, &told.json()["state"]), (Some(0), &"done".into()), "{told:?}");
    assert_eq!(told.matched(), COUNT as u64, "{told:?}");

    eventually("nothing stale is left in eu-west", async || held(&regions.europe).await == 0).await;
    assert_eq!(held(&regions.america).await, COUNT, "us-east was not asked");
    let replayed = replay(&api, &["--since", "1h", "--dry-run"]).await;
    let replays = replayed.json()["counts"]["left_out"]["replays"].as_u64().expect("a count");
    let repeated = replays.checked_sub(COUNT as u64).expect("none is left out");
    assert!(repeated <= 60, "a crash repeats about a second of it: {repeated}");
}

async fn the_one_that_runs(api: &Api) -> String {
    let mut path = None;
    eventually("a replay begins", async || {
        let listed: Value = api.get("/v1/replays").await.expect("a list");
        path = listed["items"].get(0).map(path_of);
        path.is_some()
    })
    .await;
    path.expect("it has begun")
}

fn path_of(replay: &Value) -> String {
    format!("/v1/replays/{}", replay["id"].as_str().expect("an id"))
}

async fn has_published(api: &Api, path: &str, count: u64) {
    eventually("it publishes", async || {
        let replay: reqwest::Result<Value> = api.get(path).await;
        replay.is_ok_and(|replay| replay["published"].as_u64() >= Some(count))
    })
    .await;
}

async fn ends(api: &Api, path: &str, state: &str) {
    eventually("it ends", async || {
        let replay: reqwest::Result<Value> = api.get(path).await;
        replay.is_ok_and(|replay| replay["state"] == state)
    })
    .await;
}
