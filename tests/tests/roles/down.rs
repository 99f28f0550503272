//! The broker is down when they start.

use fastrand::Rng;
use schemas::api::{Durable, ProgressState};
use serde_json::json;
use tests::bus::{Bus, QUICK, Wire};
use tests::eventually;
use tests::servers::nats::Nats;
use tests::shop::Desk;
use tests::town::{Place, Stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_start_say_what_is_missing_and_work_when_it_comes() {
    let mut nats = Nats::start().await;
    nats.stop().await;
    let place = Place::open("eu-west", Stock::Edge, &Desk::open(), Rng::new()).await;
    let mut bus = Bus::on(Wire::nats([nats.url()]));
    bus.start_publisher("publisher-1", "").await;
    bus.start_agent("edge-1", "eu-west", place.settings(QUICK)).await;

    let body = json!({"urls": ["https://www.example.com/a"]});
    let accepted = bus.publishers[0].api().publish(&body).await;
    assert_eq!(accepted.durable, Durable::Journal);
    eventually("the agent says why it is not ready", async || {
        let said = bus.agents[0].admin().details("lane").await;
        !bus.agents[0].admin().is_ready().await
            && said.iter().any(|said| said.contains("not connected to NATS"))
    })
    .await;
    eventually("the publisher says so too", async || {
        let said = bus.publishers[0].admin().details("publisher").await;
        said.iter().any(|said| said.contains("not connected to NATS"))
    })
    .await;

    nats.restart().await;
    bus.registered().await;
    let api = bus.publishers[0].api();
    eventually("what was accepted before is on the broker", async || {
        bus.publishers[0].admin().count("purgebus_journal_unforwarded", &[]).await == 0
    })
    .await;
    let progress = api.publish_until("final", &body).await;
    assert_eq!(progress.state, ProgressState::Final);
    assert!(!progress.regions.is_empty(), "{progress:#?}");
    assert_eq!(api.publish(&body).await.durable, Durable::Broker);
}
