//! One publisher and two agents, which meet on a broker and nowhere else.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::Value;
use tests::bus::{Bus, QUICK, Wire};
use tests::process::purgebus;
use tests::serve::{Api, Reader};
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tests::shop::Desk;
use tests::town::{Place, Stock};
use uuid::Uuid;

const PAGE: &str = "/a";
const URL: &str = "https://www.example.com/a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_purge_through_nats_and_outlive_every_stop() {
    let nats = Nats::start().await;
    purge_and_outlive_every_stop(Wire::nats([nats.url()])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_purge_through_kafka_and_outlive_every_stop() {
    let kafka = Kafka::shared().await;
    purge_and_outlive_every_stop(Wire::kafka([kafka.address()]).with("partitions = 2")).await;
}

async fn purge_and_outlive_every_stop(wire: Wire) {
    let desk = Desk::open();
    let europe = Place::open("eu-west", Stock::Varnish, &desk, Rng::new()).await;
    let america = Place::open("us-east", Stock::VarnishAfterRedis, &desk, Rng::new()).await;
    let mut bus = Bus::on(wire);
    bus.start_publisher("publisher-1", "").await;
    bus.start_agent("edge-1", "eu-west", europe.settings(QUICK)).await;
    bus.start_agent("edge-2", "us-east", america.settings(QUICK)).await;
    bus.registered().await;
    let town = Town { desk, places: [europe, america] };

    let first = town.changes_a_page_and_purges(&bus).await;

    for at in 0..2 {
        let (status, _) = bus.agents[at].terminate().await;
        assert_eq!(status.code(), Some(0), "{}", bus.agents[at].log_tail());
        bus.agents[at].restart().await;
    }
    let (status, _) = bus.publishers[0].terminate().await;
    assert_eq!(status.code(), Some(0), "{}", bus.publishers[0].log_tail());
    bus.publishers[0].restart().await;
    bus.registered().await;
    town.changes_a_page_and_purges(&bus).await;

    bus.publishers[0].kill();
    bus.agents[0].kill();
    bus.publishers[0].restart().await;
    bus.agents[0].restart().await;
    bus.registered().await;
    town.changes_a_page_and_purges(&bus).await;
    assert_eq!(is_final(bus.publishers[0].api(), first).await, Some(true), "of its first life");
}

struct Town {
    desk: Arc<Desk>,
    places: [Place; 2],
}

impl Town {
    /// Every place has the old page, and after `purgebus purge --wait final` the new one.
    async fn changes_a_page_and_purges(&self, bus: &Bus) -> Uuid {
        let before = self.desk.commit(PAGE);
        assert_eq!(self.purge(bus).await, Some(0));
        assert_eq!(self.served().await, [Some(before); 2]);

        let now = self.desk.commit(PAGE);
        assert_eq!(self.served().await, [Some(before); 2], "nobody has said anything yet");
        let output = self.wait_final(bus).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(self.served().await, [Some(now); 2]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(told["state"], "final", "{told:#}");
        let regions = told["regions"].as_array().expect("regions");
        let names: Vec<_> = regions.iter().map(|region| region["region"].as_str()).collect();
        assert_eq!(names, [Some("eu-west"), Some("us-east")], "{told:#}");
        told["id"].as_str().expect("an id").parse().expect("an id")
    }

    async fn purge(&self, bus: &Bus) -> Option<i32> {
        self.wait_final(bus).await.status.code()
    }

    async fn wait_final(&self, bus: &Bus) -> std::process::Output {
        let mut command = purgebus();
        command.args(["purge", URL, "--wait", "final", "--timeout", "60s", "--json"]);
        command.env("PURGEBUS_URL", format!("http://{}", bus.publishers[0].api().address()));
        let running = tokio::task::spawn_blocking(move || command.output());
        running.await.expect("no panic").expect("it runs")
    }

    async fn served(&self) -> [Option<u64>; 2] {
        let [europe, america] = self.places.each_ref().map(Place::reader);
        [version(europe).await, version(america).await]
    }
}

async fn version(reader: &Reader) -> Option<u64> {
    reader.try_version(PAGE).await
}

async fn is_final(api: &Api, id: Uuid) -> Option<bool> {
    let progress = api.try_status(id).await.ok()?;
    Some(progress.state == schemas::api::ProgressState::Final)
}
