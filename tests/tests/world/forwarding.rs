//! From journal to broker: whatever becomes of the broker, its boards or the journal, nothing is lost in silence.

use broker_adapter::Misbehaviour;
use bytesize::ByteSize;
use schemas::Outcome;
use schemas::api::ProgressState;
use tests::world::{Plan, World, everything, url};

use crate::{SECOND, seeds, two_regions};

/// A log apart that behaves for now.
fn apart(seed: u64) -> Plan {
    two_regions(seed).misbehaving(Misbehaviour::default())
}

fn nothing_works() -> Misbehaviour {
    Misbehaviour { fail: 1.0, read_fail: 1.0, ..Misbehaviour::default() }
}

fn flushed(world: &World) -> u64 {
    world.lanes().iter().filter_map(|lane| lane.outcomes.get(&Outcome::Flushed)).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_published_while_the_broker_is_down_for_long_is_purged_when_it_is_back() {
    for seed in seeds(8_000, 2) {
        let mut world = apart(seed).start().await;
        world.edit_every(SECOND);
        world.pass(5 * SECOND).await;
        let before = flushed(&world);
        world.misbehave(nothing_works());
        world.pass(300 * SECOND).await;
        let waiting = world.publisher_metric("purgebus_journal_unforwarded");
        assert!(waiting > 100.0, "{waiting}");
        let oldest = world.publisher_metric("purgebus_journal_oldest_unforwarded_seconds");
        assert!((250.0..310.0).contains(&oldest), "{oldest}");
        world.crash_publisher(10 * SECOND).await;
        world.misbehave(Misbehaviour::default());
        let verdict = world.settle().await;
        verdict.must_be_clean();
        assert!(verdict.accepted > 100, "{verdict:?}");
        assert_eq!(flushed(&world), before, "silence alone flushes nobody");
        assert!(world.publisher_metric("purgebus_journal_unforwarded") < 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn boards_that_take_nothing_do_not_keep_caches_stale() {
    let mut world = apart(8_100).start().await;
    world.deafen_boards(true);
    world.crash_publisher(SECOND).await;
    let id = world.change(&url("/blog/0")).await;
    world.edit_every(SECOND);
    world.pass(30 * SECOND).await;
    let waiting = world.publisher_metric("purgebus_journal_unforwarded");
    assert!(waiting < 1.0, "frames have left: {waiting}");
    let late_at = world.late();
    world.pass(60 * SECOND).await;
    assert!(world.late() - late_at < 60, "caches are purged all the while");
    assert_ne!(world.status(id).await.state, ProgressState::Final, "nobody can know");
    world.deafen_boards(false);
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_deleted_and_made_again_is_filled_from_the_journal() {
    for seed in seeds(8_200, 3) {
        let mut world = apart(seed).start().await;
        world.edit_every(SECOND / 2);
        for _ in 0..3 {
            world.pass_up_to(20 * SECOND).await;
            world.recreate_log();
        }
        world.pass(20 * SECOND).await;
        world.settle().await.must_be_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_the_journal_keeps_no_more_are_told_lost_and_flushed_before_the_deadline() {
    let mut world = apart(8_300).journal_bytes(ByteSize::kib(20)).start().await;
    world.ask(&url("/blog/0")).await;
    world.pass(5 * SECOND).await;
    world.cut_off("us").await;
    for _ in 0..400 {
        world.ask(&url("/blog/0")).await;
    }
    world.recreate_log();
    let before = flushed(&world);
    world.reconnect("us");
    // Known to be missing after some seconds, reported ten seconds later, given up after a minute.
    world.pass(45 * SECOND).await;
    assert!(world.publisher_metric("purgebus_lost_numbers_total") > 0.0);
    assert!(flushed(&world) > before, "{:#?}", world.lanes());
    world.edit_every(SECOND);
    world.pass(10 * SECOND).await;
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_publisher_on_other_partitions_finishes_what_it_began_on_those_of_before() {
    let mut world = apart(8_400).start().await;
    world.edit_every(SECOND / 5);
    let flaky = Misbehaviour { fail: 0.3, lose: 0.1, time_out: 0.1, ..Misbehaviour::default() };
    for partitions in [4, 2, 7, 1] {
        world.pass_up_to(5 * SECOND).await;
        world.misbehave(nothing_works());
        world.pass(2 * SECOND).await;
        world.repartition(partitions).await;
        world.pass(2 * SECOND).await;
        world.misbehave(flaky.clone());
        world.pass(10 * SECOND).await;
    }
    let verdict = world.settle().await;
    verdict.must_be_clean();
    assert!(verdict.accepted > 100, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_restored_from_an_older_copy_reuses_no_number() {
    let mut world = apart(8_500).journal_on_disk().start().await;
    world.change(&url("/blog/1")).await;
    world.pass(20 * SECOND).await;
    let copy = world.copy_journal().await;
    world.change(&everything()).await;
    // The copy knows nothing of what "us" misses now.
    world.cut_off("us").await;
    for _ in 0..10 {
        world.change(&url("/blog/0")).await;
    }
    world.pass(20 * SECOND).await;
    world.restore_journal(copy).await;
    world.change(&url("/shop/1")).await;
    world.reconnect("us");
    world.edit_every(SECOND);
    world.pass(20 * SECOND).await;
    world.settle().await.must_be_clean();
}
