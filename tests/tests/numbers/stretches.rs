//! Later passes of more than a lane holds in memory: a real broker's log is read again for them.

use tests::bus::Wire;
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tests::town::Stock;

use crate::figures::Mended;
use crate::village::{Shape, Village};

/// Far more than are held, within the second until the pass.
const EDITS: usize = 60;
/// An outer cache whose last passes come after the inner one's, and one alone.
const SHAPE: Shape = Shape {
    publishers: 1,
    agents: &[Stock::VarnishAfterRedis, Stock::Edge],
    hole_grace: "5s",
    hole_deadline: "5m",
    publisher: "",
    lane: "rebound_selectors = 2",
};

/// Everything becomes final, nobody gets an old page after that, and nothing is repaired or flushed.
async fn are_read_again(mut village: Village) {
    village.edit(EDITS).await;
    village.rests().await;
    for agent in &village.bus.agents {
        let rereads = agent.admin().count("purgebus_rereads_total", &["priority=\"normal\""]).await;
        assert!(rereads > 0, "{}: all was held", agent.name());
    }
    village.edit(EDITS).await;
    village.ends(Mended::FromTheLog).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_read_again_for_passes_of_more_than_is_held() {
    let nats = Nats::start().await;
    are_read_again(Village::start("NATS, read again", Wire::nats([nats.url()]), SHAPE).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_is_read_again_for_passes_of_more_than_is_held() {
    let wire = Wire::kafka([Kafka::shared().await.address()]);
    are_read_again(Village::start("Kafka, read again", wire, SHAPE).await).await;
}
