//! What a human has ordered stands on the board: whoever gave it may die before anybody has carried it out.

use fastrand::Rng;
use schemas::api::FlushOrdered;
use tests::bus::{Agent, Bus, QUICK, Wire};
use tests::eventually;
use tests::servers::nats::Nats;
use tests::shop::Desk;
use tests::town::{Place, Stock};

/// How many flushes each lane has carried out on an order since its process started.
async fn flushes(agent: &Agent) -> [u64; 2] {
    let of = async |priority: &str| {
        let labels = ["cause=\"ordered\"", &format!("priority=\"{priority}\"")];
        agent.admin().count("purgebus_flushes_total", &labels).await
    };
    [of("critical").await, of("normal").await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_whose_publisher_was_killed_is_carried_out_once_by_an_agent_that_was_away() {
    let nats = Nats::start().await;
    let place = Place::open("eu-west", Stock::Edge, &Desk::open(), Rng::new()).await;
    let mut bus = Bus::on(Wire::nats([nats.url()]));
    bus.start_publisher("publisher-1", "").await;
    bus.start_agent("edge-1", "eu-west", place.settings(QUICK)).await;
    bus.registered().await;
    bus.agents[0].terminate().await;

    let api = bus.publishers[0].api().clone();
    let (code, said) = api.run(&["flush", "--region", "eu-west", "--json"]).await;
    assert_eq!(code, 0, "{said}");
    let ordered: FlushOrdered = serde_json::from_str(&said).expect("one document");
    assert_eq!(ordered.caches.len(), 1, "{ordered:?}");
    bus.publishers[0].kill();
    bus.publishers[0].restart().await;
    bus.publishers[0].ready().await;

    bus.agents[0].restart().await;
    bus.registered().await;
    eventually("it is carried out", async || flushes(&bus.agents[0]).await == [1, 1]).await;
    // Whatever would repeat it: the publisher says what it has ordered, and the agent reads the board.
    for again in ["publisher", "agent"] {
        let process = if again == "agent" { &mut *bus.agents[0] } else { &mut *bus.publishers[0] };
        process.terminate().await;
        process.restart().await;
        bus.registered().await;
        let body = serde_json::json!({"urls": ["https://www.example.com/a"]});
        api.publish_until("final", &body).await;
        let carried_out = if again == "agent" { [0, 0] } else { [1, 1] };
        assert_eq!(flushes(&bus.agents[0]).await, carried_out, "after a restart of the {again}");
    }
}
