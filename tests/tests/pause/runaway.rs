//! A publisher that runs away, and how soon its purges stop: on each broker.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::bus::{Bus, Wire};
use tests::eventually;
use tests::process::Admin;
use tests::serve::{Api, Serve};
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;

use crate::stage::{Flood, Stage, ask, is_obeyed, now, tag};

/// The last purge begins no later after `pause` was given.
const WITHIN_SECONDS: f64 = 3.0;

/// Floods, pauses the cache, and looks that nothing goes out any more. Answers the pause.
async fn stop(stage: &Stage, flood: &mut Flood, api: &Api, agent: &Admin, on: &str) -> Value {
    eventually("the flood is purged", async || stage.flood_purged().await.len() > 100).await;
    let given = now();
    let pause =
        ask(api, &["pause", "--cache", "varnish", "--until", "10m", "--reason", "a flood"]).await;
    let told = now();
    let listed = async || ask(api, &["status"]).await["pauses"][0].clone();
    eventually("all obey", async || is_obeyed(&listed().await)).await;
    flood.goes_on(200).await;
    let purged = stage.flood_purged().await;
    let last = purged.iter().map(|(_, at)| *at).fold(0.0, f64::max);
    eprintln!(
        "{on}: the last of {} purges began {:.0} ms after `pause` was given, which took {:.0} ms",
        purged.len(),
        (last - given) * 1_000.0,
        (told - given) * 1_000.0,
    );
    assert!(last - given < WITHIN_SECONDS, "purges go on for {} s", last - given);
    flood.goes_on(200).await;
    assert_eq!(stage.flood_purged().await.len(), purged.len(), "nothing at all leaves any more");
    assert!(agent.is_ready().await, "a pause clears nobody");
    let details = agent.details("lane varnish.normal").await.join(" ");
    assert!(details.contains("paused until"), "{details}");
    assert_eq!(agent.count("purgebus_paused", &["cache=\"varnish\""]).await, 2, "both lanes");
    let owed = api.publish(&tag("waits")).await;
    eventually("status says why", async || {
        let missing = api.status(owed.id).await.missing;
        missing.iter().any(|it| it.reason.starts_with("paused until"))
    })
    .await;
    pause
}

/// After the pause all of the flood is purged.
async fn is_whole(stage: &Stage, flood: Flood, api: &Api) {
    let published = flood.end().await;
    api.publish_until("applied", &tag("last")).await;
    eventually("nothing waits, and nothing is paused", async || {
        let lanes = api.lanes("varnish").await;
        lanes.iter().all(|lane| lane.lag_numbers == 0 && lane.paused.is_empty())
    })
    .await;
    let purged = stage.flood_purged().await;
    let tags: BTreeSet<&String> = purged.iter().map(|(tag, _)| tag).collect();
    assert!(tags.len() as u64 >= published, "{} of {published} published", tags.len());
    assert_eq!(ask(api, &["status"]).await["pauses"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runaway_stops_within_seconds_and_nothing_of_it_is_lost_on_the_embedded_log() {
    let stage = Stage::start().await;
    let serve = Serve::start_ready(stage.settings()).await;
    let api = serve.api();
    let mut flood = Flood::begin(api);
    let pause = stop(&stage, &mut flood, api, serve.admin(), "embedded").await;
    ask(api, &["resume", pause["id"].as_str().expect("an id")]).await;
    is_whole(&stage, flood, api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_the_publisher_that_was_told_of_it_on_nats() {
    let stage = Stage::start().await;
    let nats = Nats::start().await;
    let mut bus = Bus::on(Wire::nats([nats.url()]));
    for name in ["publisher-1", "publisher-2"] {
        bus.start_publisher(name, "").await;
    }
    bus.start_agent("edge-1", "eu-west", stage.settings()).await;
    bus.registered().await;
    let apis = bus.apis();
    let mut flood = Flood::begin(&apis[1]);
    let agent = bus.agents[0].admin().clone();
    stop(&stage, &mut flood, &apis[0], &agent, "nats").await;
    let before = stage.flood_purged().await.len();
    bus.publishers[0].kill();
    bus.agents[0].kill();
    bus.agents[0].restart().await;
    eventually("it reads on, and says why it waits", async || {
        agent.details("lane varnish.normal").await.join(" ").contains("paused until")
    })
    .await;
    flood.goes_on(200).await;
    assert_eq!(stage.flood_purged().await.len(), before, "neither restart nor kill lets any out");
    ask(&apis[1], &["resume", "--cache", "varnish"]).await;
    is_whole(&stage, flood, &apis[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runaway_stops_within_seconds_and_nothing_of_it_is_lost_on_kafka() {
    let stage = Stage::start().await;
    let kafka = Kafka::shared().await;
    let mut bus = Bus::on(Wire::kafka([kafka.address()]));
    bus.start_publisher("publisher-1", "").await;
    bus.start_agent("edge-1", "eu-west", stage.settings()).await;
    bus.registered().await;
    let api = bus.publishers[0].api().clone();
    let mut flood = Flood::begin(&api);
    stop(&stage, &mut flood, &api, &bus.agents[0].admin().clone(), "kafka").await;
    ask(&api, &["resume", "--cache", "varnish"]).await;
    is_whole(&stage, flood, &api).await;
}
