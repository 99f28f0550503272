//! On NATS JetStream.

use schemas::api::ProgressState;
use tests::bus::Wire;
use tests::eventually;
use tests::servers::nats::Nats;
use tests::town::Stock;

use crate::figures::Mended;
use crate::folders::Backup;
use crate::forged::altered;
use crate::stream::Log;
use crate::village::{LATE, PATIENT, Said, Shape, Village};

/// So many edits while somebody is away.
const MISSED: usize = 20;

async fn village(case: &str, nats: &Nats, shape: Shape) -> (Village, Log) {
    village_with(case, nats, "", shape).await
}

async fn village_with(case: &str, nats: &Nats, broker: &str, shape: Shape) -> (Village, Log) {
    let wire = Wire::nats([nats.url()]).with(broker);
    let village = Village::start(&format!("NATS, {case}"), wire, shape).await;
    let log = Log::of(&village.bus.wire, nats).await;
    (village, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_stream_is_repaired() {
    let nats = Nats::start().await;
    let shape = Shape { agents: &[Stock::Varnish, Stock::Edge], ..Shape::default() };
    let (mut village, log) = village("stream purged", &nats, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    log.purge().await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_deleted_from_the_middle_are_repaired() {
    let nats = Nats::start().await;
    let shape = Shape { agents: &[Stock::VarnishAfterRedis, Stock::Edge], ..Shape::default() };
    let (mut village, log) = village("deleted from the middle", &nats, shape).await;
    village.stop_late();
    let before = log.frames().await.len();
    village.edit(MISSED).await;
    let missed = log.frames().await.split_off(before);
    log.delete(missed.iter().skip(2).step_by(3)).await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_altered_at_the_broker_are_parked_and_repaired() {
    let nats = Nats::start().await;
    let (mut village, log) = village("altered at the broker", &nats, Shape::default()).await;
    village.stop_late();
    let before = log.frames().await.len();
    village.edit(MISSED).await;
    let missed = log.frames().await.split_off(before);
    let taken: Vec<_> = missed.into_iter().step_by(3).collect();
    let genuine = log.bytes(taken.iter().map(|(place, _)| *place)).await;
    log.delete(&taken).await;
    for genuine in &genuine {
        log.append(altered(genuine)).await;
    }
    village.start_late().await;
    let label = ["reason=\"wrong_signature\""];
    eventually("they are parked", async || {
        let parked = village.bus.agents[LATE].admin().count("purgebus_parked_total", &label).await;
        parked >= taken.len() as u64
    })
    .await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_deleted_under_load_is_made_again_and_repaired() {
    let nats = Nats::start().await;
    let (mut village, log) =
        village("stream deleted and made again", &nats, Shape::default()).await;
    village.stop_late();
    village.edit(MISSED).await;
    log.vanish().await;
    village.edit(MISSED).await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_store_on_which_another_publisher_has_written_on_is_repaired() {
    let mut nats = Nats::start().await;
    let shape = Shape { publishers: 2, ..Shape::default() };
    let (mut village, _) = village("older store, written on", &nats, shape).await;
    village.edit(MISSED).await;
    nats.stop().await;
    let older = Backup::of(&nats.store());
    nats.restart().await;
    village.stop_late();
    // One agent hears them and is ahead of the older store; the other is away.
    village.edit(2 * MISSED).await;
    village.bus.publishers[0].kill();
    nats.stop().await;
    older.restore();
    nats.restart().await;
    village.edit(MISSED).await;
    village.start_late().await;
    village.edit(MISSED).await;
    village.bus.publishers[0].restart().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_that_the_server_lost_are_repaired() {
    let mut nats = Nats::start().await;
    let shape = Shape { agents: &[Stock::Varnish, Stock::Edge], ..Shape::default() };
    let (mut village, _) = village("acknowledged writes lost", &nats, shape).await;
    nats.stop().await;
    let older = Backup::of(&nats.store());
    nats.restart().await;
    village.stop_late();
    village.edit(MISSED).await;
    nats.stop().await;
    older.restore();
    nats.restart().await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

/// Too small for what [`flood`] publishes.
const SMALL_LOG: &str = "retention_bytes = \"1MiB\"";
const SMALL_JOURNAL: &str = "journal_bytes = \"1MiB\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_from_a_stopped_lane_is_repaired_while_the_journal_holds_it() {
    let nats = Nats::start().await;
    let case = "retention, journal keeps it";
    let (mut village, _) = village_with(case, &nats, SMALL_LOG, Shape::default()).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.flood().await;
    village.start_late().await;
    village.ends(Mended::Repaired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_and_the_journal_no_longer_holds_is_flushed() {
    let nats = Nats::start().await;
    let shape = Shape { publisher: SMALL_JOURNAL, ..Shape::default() };
    let case = "retention, journal too small";
    let (mut village, _) = village_with(case, &nats, SMALL_LOG, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.flood().await;
    village.start_late().await;
    village.ends_forgotten("hole", Said::Lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_journal_hurts_nobody_while_the_log_has_what_it_forgot() {
    let nats = Nats::start().await;
    let (mut village, _) = village("older journal, whole log", &nats, PATIENT).await;
    village.bus.publishers[0].kill();
    let older = village.bus.publishers[0].save();
    village.bus.publishers[0].restart().await;
    village.stop_late();
    village.edit(MISSED).await;
    village.bus.publishers[0].kill();
    village.bus.publishers[0].put_back(&older);
    village.bus.publishers[0].restart().await;
    village.edit(MISSED).await;
    village.start_late().await;
    village.ends(Mended::FromTheLog).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_neither_an_older_journal_nor_the_log_has_is_flushed() {
    let nats = Nats::start().await;
    // Nobody knows the line any more, so nobody says that it is lost: the deadline tells.
    let shape = Shape { hole_deadline: "6s", ..Shape::default() };
    let (mut village, log) = village("older journal, damaged log", &nats, shape).await;
    village.bus.publishers[0].kill();
    let older = village.bus.publishers[0].save();
    village.bus.publishers[0].restart().await;
    village.stop_late();
    let before = log.frames().await.len();
    village.edit(MISSED).await;
    let missed = log.frames().await.split_off(before);
    village.bus.publishers[0].kill();
    village.bus.publishers[0].put_back(&older);
    log.delete(missed.iter().skip(2).step_by(3)).await;
    village.bus.publishers[0].restart().await;
    village.start_late().await;
    village.ends_forgotten("hole", Said::Nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_publisher_had_who_is_gone_for_good_is_flushed() {
    let nats = Nats::start().await;
    let shape = Shape { publishers: 2, ..Shape::default() };
    let (mut village, log) = village("publisher gone for good", &nats, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.lose_publisher(1).await;
    log.silence("publisher-1").await;
    village.start_late().await;
    village.retire("publishers/publisher-1").await;
    village.ends_forgotten("hole", Said::Lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_its_state_flushes() {
    let nats = Nats::start().await;
    let shape = Shape {
        publishers: 2,
        agents: &[Stock::VarnishAfterRedis, Stock::Edge],
        ..Shape::default()
    };
    let (mut village, _) = village("agent without state", &nats, shape).await;
    village.stop_late();
    village.edit(MISSED).await;
    village.bus.agents[LATE].forget();
    village.start_late().await;
    village.ends(Mended::Flushed("no_cursor")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_owes_that_is_replaced_is_final_once_it_is_retired() {
    let nats = Nats::start().await;
    let (mut village, _) = village("agent replaced", &nats, Shape::default()).await;
    village.stop_late();
    village.edit(MISSED).await;
    let owed = village.town.editors.edit().await;
    village.replace_late("its-successor").await;
    village.edit(MISSED).await;
    village.bus.agents[LATE].ready().await;
    let progress = village.bus.publishers[0].api().status(owed.id).await;
    assert_ne!(progress.state, ProgressState::Final, "the one who is gone owes it: {progress:#?}");
    village.retire("agents/agent-0").await;
    village.ends(Mended::Flushed("no_cursor")).await;
}
