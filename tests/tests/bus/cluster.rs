//! A cluster of three servers with three copies of each stream, whose leader is killed under load.

use std::time::Duration;

use tests::bus::Wire;
use tests::servers::nats::Cluster;
use tests::town::Stock;
use tokio::time::sleep;

use crate::regions::{Map, Regions};
use crate::table::Table;

const TWO: Map =
    &[("eu-west", "edge-1", Stock::VarnishAfterRedis), ("us-east", "edge-2", Stock::Varnish)];

/// How long people work before a leader dies, while it is dead, and after it.
const WORK: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_leaders_of_a_cluster_are_killed() {
    let mut cluster = Cluster::start().await;
    let wire = Wire::nats(cluster.urls()).with("replicas = 3");
    let mut regions = Regions::start(wire, TWO).await;
    let mut table = Table::new("cluster");
    for topic in ["normal", "reports", "normal"] {
        regions.town.open(regions.bus.apis());
        sleep(WORK).await;
        let leader = cluster.leader(&regions.bus.wire.stream(topic)).await;
        leader.stop().await;
        sleep(WORK).await;
        leader.restart().await;
        sleep(WORK).await;
        let rest = regions.town.come_to_rest().await;
        table.add(&format!("leader of {topic} killed"), &regions, &rest).await;
        rest.is_sound();
    }
    assert_eq!(regions.later_flushes().await, 0, "nothing was beyond repair");
}
