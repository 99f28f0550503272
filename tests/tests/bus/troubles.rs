//! One town for each broker, which lives through all faults, and comes to rest after each.

use std::time::Duration;

use broker_adapter::{Broker, KafkaConfig, NatsConfig};
use tests::bus::Wire;
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tokio::time::sleep;

use crate::faults::{Fault, Server};
use crate::log;
use crate::regions::{Regions, THREE};
use crate::table::Table;

/// How long people work before a fault, and after it.
const WORK: Duration = Duration::from_secs(2);

const STOPPED: Fault = Fault::BrokerStopped(Duration::from_mins(1));
const FAULTS: [Fault; 8] = [
    Fault::Nothing,
    Fault::AgentKilled(0),
    Fault::PublisherKilled(0),
    Fault::AgentKilled(3),
    Fault::PublisherKilled(1),
    Fault::BrokerKilled,
    Fault::BrokerPaused(Duration::from_secs(30)),
    STOPPED,
];
/// Fewer reads at a place tell nothing.
const READS_MIN: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_nats_whatever_is_killed_or_stopped() {
    let nats = Nats::start().await;
    let wire = Wire::nats([nats.url()]);
    let config = NatsConfig {
        urls: vec![nats.url()],
        prefix: wire.prefix().to_owned(),
        ..NatsConfig::default()
    };
    let broker = broker_adapter::Nats::open(&config).expect("a good configuration");
    live_through("NATS", wire, Server::Nats(nats), &broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_kafka_whatever_is_killed_or_stopped() {
    let kafka = Kafka::start().await;
    let wire = Wire::kafka([kafka.address()]);
    let config = KafkaConfig {
        brokers: vec![kafka.address()],
        prefix: wire.prefix().to_owned(),
        ..KafkaConfig::default()
    };
    let broker = broker_adapter::Kafka::open(&config).expect("a good configuration");
    live_through("Kafka", wire, Server::Kafka(Box::new(kafka)), &broker).await;
}

async fn live_through(title: &'static str, wire: Wire, mut server: Server, broker: &dyn Broker) {
    let mut regions = Regions::start(wire, THREE).await;
    let mut table = Table::new(title);
    for fault in FAULTS {
        let before = daemon::Clock::system().now();
        regions.town.open(regions.bus.apis());
        sleep(WORK).await;
        fault.strike(&mut regions, &mut server).await;
        sleep(WORK).await;
        let rest = regions.town.come_to_rest().await;
        let (accepted, journalled) = table.add(&fault.to_string(), &regions, &rest).await;
        rest.is_sound();
        assert!(accepted > 20, "{fault}: too little work to tell");
        if fault == STOPPED {
            assert!(journalled * 2 > accepted, "{journalled} of {accepted}: it was not away");
            log::is_whole_and_in_order(broker, before).await;
        }
        if fault == FAULTS[FAULTS.len() - 1] {
            rest.tells_enough(READS_MIN);
        }
    }
    assert_eq!(regions.later_flushes().await, 0, "nothing was beyond repair");
}
