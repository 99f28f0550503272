//! On Kafka. Most cases share one broker, each with topics of its own.

use tests::bus::Wire;
use tests::eventually;
use tests::servers::kafka::Kafka;
use tests::town::Stock;

use crate::figures::Mended;
use crate::folders::Backup;
use crate::forged::{frames, transplanted};
use crate::topic::Topic;
use crate::village::{LATE, PATIENT, Said, Shape, Village};

/// So many edits while somebody is away.
const MISSED: usize = 20;

async fn village<'a>(case: &str, kafka: &'a Kafka, shape: Shape) -> (Village, Topic<'a>) {
    let wire = Wire::kafka([kafka.address()]);
    let village = Village::start(&format!("Kafka, {case}"), wire, shape).await;
    let topic = Topic::of(&village.bus.wire, kafka);
    (village, topic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreated_topic_with_our_offset_in_range_is_repaired() {
    let shape = Shape { agents: &[Stock::Varnish, Stock::Edge], ..Shape::default() };
    let (mut village, topic) =
        village("recreated, offset in range", Kafka::shared().await, shape).await;
    village.stop_late();
    let offset = topic.end(0).await.expect("a topic");
    village.edit(MISSED).await;
    topic.vanish().await;
    while topic.end(0).await <= Some(offset) {
        village.edit(MISSED).await;
    }
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreated_topic_that_ends_before_our_offset_is_repaired() {
    let (mut village, topic) =
        village("recreated, offset out of range", Kafka::shared().await, Shape::default()).await;
    village.edit(5 * MISSED).await;
    village.rests().await;
    let offset = topic.end(0).await.expect("a topic");
    village.stop_late();
    village.edit(MISSED).await;
    topic.vanish().await;
    village.start_late().await;
    assert!(topic.end(0).await < Some(offset), "its offset came into range too soon");
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_from_a_stopped_lane_is_repaired_while_the_journal_holds_it() {
    let shape = Shape { agents: &[Stock::VarnishAfterRedis, Stock::Edge], ..Shape::default() };
    let (mut village, topic) =
        village("truncated, journal keeps it", Kafka::shared().await, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    topic.truncate().await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_and_the_journal_no_longer_holds_is_flushed() {
    let shape = Shape { publisher: "journal_bytes = \"1MiB\"", ..Shape::default() };
    let (mut village, topic) =
        village("truncated, journal too small", Kafka::shared().await, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.flood().await;
    topic.truncate().await;
    village.start_late().await;
    village.ends_forgotten("hole", Said::Lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_publisher_had_who_is_gone_for_good_is_flushed() {
    let shape = Shape { publishers: 2, ..Shape::default() };
    let (mut village, topic) =
        village("publisher gone for good", Kafka::shared().await, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.lose_publisher(1).await;
    topic.truncate().await;
    village.start_late().await;
    village.retire("publishers/publisher-1").await;
    village.ends_forgotten("hole", Said::Lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_exchanged_for_forged_ones_are_parked_and_repaired() {
    let (mut village, topic) =
        village("exchanged for forged ones", Kafka::shared().await, Shape::default()).await;
    village.stop_late();
    let before = frames(village.bus.wire.broker().as_ref()).await.len();
    village.edit(MISSED).await;
    let missed = frames(village.bus.wire.broker().as_ref()).await.split_off(before);
    assert!(missed.len() >= 5, "{} frames tell little", missed.len());
    topic.truncate().await;
    let forged = transplanted(&missed, &village.bus.keys.signing());
    for (_, forged) in &forged {
        topic.append(forged).await;
    }
    village.start_late().await;
    for reason in ["unsigned", "unknown_key", "wrong_signature"] {
        let wanted = forged.iter().filter(|(why, _)| *why == reason).count() as u64;
        let label = [&*format!("reason=\"{reason}\"")];
        eventually("they are parked", async || {
            let admin = village.bus.agents[LATE].admin();
            admin.count("purgebus_parked_total", &label).await >= wanted
        })
        .await;
    }
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_added_later_are_heard_too() {
    let kafka = Kafka::shared().await;
    let (mut village, topic) = village("partitions added", kafka, PATIENT).await;
    village.edit(MISSED).await;
    for priority in ["critical", "normal"] {
        kafka.add_partitions(&village.bus.wire.stream(priority), PARTITIONS).await;
    }
    village.bus.wire = village.bus.wire.clone().with(&format!("partitions = {PARTITIONS}"));
    village.bus.publishers[0].kill();
    let file = village.bus.publisher_file("publisher-0", "");
    village.bus.publishers[0].configure(file);
    let before = topic.end(0).await;
    village.bus.publishers[0].restart().await;
    village.edit(MISSED).await;
    village.ends(Mended::FromTheLog).await;
    let heartbeats_only = topic.end(0).await.zip(before).is_some_and(|(now, then)| now - then < 20);
    assert!(heartbeats_only, "the site has not moved to another partition");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_log_is_repaired() {
    let mut kafka = Kafka::start().await;
    let shape = Shape { publishers: 2, agents: &[Stock::Varnish, Stock::Edge], ..Shape::default() };
    let (mut village, _) = village("older data", &kafka, shape).await;
    village.edit(MISSED).await;
    kafka.stop().await;
    let older = Backup::of(&kafka.data());
    kafka.restart().await;
    village.stop_late();
    village.edit(MISSED).await;
    kafka.stop().await;
    older.restore();
    kafka.restart().await;
    village.edit(MISSED).await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

/// So many that the one site moves to another one than the first.
const PARTITIONS: usize = 3;
