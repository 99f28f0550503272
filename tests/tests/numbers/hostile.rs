//! What others write into our log, and onto our board: parked and counted, and nothing stops.

use std::time::Duration;

use bytes::Bytes;
use schemas::{Heartbeat, LineId, LogMessage, wire};
use tests::bus::Wire;
use tests::eventually;
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;

use crate::figures::Mended;
use crate::forged::{forged, order_a_flush};
use crate::stream::Log;
use crate::topic::Topic;
use crate::village::{Shape, Village};

/// Longer than a busy machine delays a message, shorter than the case.
const GRACE: &str = "5s";
const DEADLINE: &str = "6s";

/// Where the schema stands in an envelope, and where its checksum.
const SCHEMA: usize = 5;
const CHECKSUM: std::ops::Range<usize> = 11..15;

/// What is parked, and why. Whoever believed one of these would look for numbers that nobody has, or flush.
type Parked = Vec<(&'static str, Bytes)>;

/// None of these can be read, or it cannot be known who has said it.
fn unreadable() -> Parked {
    let lie = wire::encode_log(&LogMessage::Heartbeat(Heartbeat {
        publisher: "stranger".parse().expect("a name"),
        at: daemon::Clock::system().now(),
        lines: vec![(LineId::random(), 1_000)],
        agents: None,
    }));
    let flipped: Vec<u8> =
        lie.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at + 1 == lie.len())).collect();
    let mut newer = lie.to_vec();
    newer[SCHEMA] += 1;
    let sum =
        crc32c::crc32c_append(crc32c::crc32c(&newer[..CHECKSUM.start]), &newer[CHECKSUM.end..]);
    newer[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    let foreign = Bytes::from_static(b"{\"order\": 4711, \"from\": \"another application\"}");
    vec![
        ("malformed", foreign),
        ("malformed", flipped.into()),
        ("malformed", Bytes::new()),
        ("unsigned", newer.into()),
    ]
}

/// All that a stranger can say there.
async fn said_by_a_stranger(village: &Village) -> Parked {
    let broker = village.bus.wire.broker();
    order_a_flush(broker.as_ref(), "region-0").await;
    [unreadable(), forged(broker.as_ref()).await].concat()
}

async fn are_parked_by_everyone(village: Village, said: &Parked) {
    for agent in &village.bus.agents {
        for (reason, _) in said {
            let count = said.iter().filter(|(other, _)| other == reason).count() as u64;
            let labels = ["priority=\"normal\"", &format!("reason=\"{reason}\"")];
            eventually("all are parked, for their reasons", async || {
                agent.admin().count("purgebus_parked_total", &labels).await == count
            })
            .await;
        }
        eventually("the stranger's order is parked", async || {
            agent.admin().count("purgebus_board_parked_total", &["reason=\"unsigned\""]).await > 0
        })
        .await;
        assert_eq!(agent.admin().count("purgebus_flushes_total", &["cause=\"ordered\""]).await, 0);
    }
    village.edit(10).await;
    // Longer than the deadline: whoever misses something has flushed.
    tokio::time::sleep(Duration::from_secs(7)).await;
    village.ends(Mended::FromTheLog).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_into_our_stream_is_parked() {
    let nats = Nats::start().await;
    let shape = Shape { hole_grace: GRACE, hole_deadline: DEADLINE, ..Shape::default() };
    let village = Village::start("NATS, foreign messages", Wire::nats([nats.url()]), shape).await;
    let log = Log::of(&village.bus.wire, &nats).await;
    let said = said_by_a_stranger(&village).await;
    for (_, body) in &said {
        log.append(body.clone()).await;
    }
    are_parked_by_everyone(village, &said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_into_our_topic_is_parked() {
    let kafka = Kafka::shared().await;
    let shape = Shape { hole_grace: GRACE, hole_deadline: DEADLINE, ..Shape::default() };
    let wire = Wire::kafka([kafka.address()]);
    let village = Village::start("Kafka, foreign records", wire, shape).await;
    let topic = Topic::of(&village.bus.wire, kafka);
    let said = said_by_a_stranger(&village).await;
    for (_, body) in &said {
        topic.append(body).await;
    }
    are_parked_by_everyone(village, &said).await;
}
