//! Whatever the broker does between a publisher and its readers, the numbers show it, and nothing is lost in silence.

use broker_adapter::Misbehaviour;
use schemas::Outcome;
use tests::world::World;

use crate::{SECOND, chained, seeds, two_regions};

/// Everything that was ever seen, and often.
fn everything_goes_wrong() -> Misbehaviour {
    Misbehaviour {
        fail: 0.1,
        time_out: 0.1,
        lose: 0.1,
        duplicate: 0.2,
        reorder: 0.2,
        delay: 0.2,
        read_fail: 0.05,
        read_abort: 0.01,
        read_silence: 0.01,
        read_repeat: 0.2,
        read_delay: 0.2,
        ..Misbehaviour::default()
    }
}

/// How many numbers ended so, over all lanes.
pub(crate) fn count(world: &World, outcome: Outcome) -> u64 {
    world.lanes().iter().filter_map(|lane| lane.outcomes.get(&outcome)).sum()
}

#[tokio::test(start_paused = true)]
async fn frames_lost_repeated_reordered_and_late_leave_every_cache_fresh() {
    let (mut absent, mut repeated, mut landed_unknown) = (0, 0, 0);
    for seed in seeds(5_000, 10) {
        let plan = if seed % 2 == 0 { two_regions(seed) } else { chained(seed) };
        let mut world = plan.misbehaving(everything_goes_wrong()).start().await;
        world.edit_every(SECOND / 5);
        world.pass(60 * SECOND).await;
        let verdict = world.settle().await;
        verdict.must_be_clean();
        let mishaps = world.mishaps();
        absent += mishaps.absent;
        repeated += mishaps.repeated;
        landed_unknown += mishaps.landed_unknown;
    }
    let enough = absent > 100 && repeated > 100 && landed_unknown > 20;
    assert!(enough, "{absent} {repeated} {landed_unknown}");
}

#[tokio::test(start_paused = true)]
async fn lost_frames_are_sent_again_and_nobody_flushes() {
    let losing = Misbehaviour { lose: 0.2, ..Misbehaviour::default() };
    let mut world = two_regions(60).misbehaving(losing).start().await;
    let flushed = count(&world, Outcome::Flushed);
    world.edit_every(SECOND / 2);
    world.pass(60 * SECOND).await;
    world.settle().await.must_be_clean();
    assert!(world.mishaps().absent > 10, "{:?}", world.mishaps());
    assert!(world.publisher_metric("purgebus_repairs_total") > 10.0);
    assert_eq!(count(&world, Outcome::Flushed), flushed);
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_not_filled_in_time_is_flushed() {
    let hardly_anything_lands = Misbehaviour { lose: 0.95, ..Misbehaviour::default() };
    let mut world = two_regions(61).misbehaving(hardly_anything_lands).start().await;
    world.edit_every(SECOND);
    world.pass(180 * SECOND).await;
    world.settle().await.must_be_clean();
    assert!(count(&world, Outcome::Flushed) > 0, "{:#?}", world.lanes());
}

#[tokio::test(start_paused = true)]
async fn crashes_on_both_sides_of_a_misbehaving_broker_lose_nothing() {
    for seed in seeds(7_000, 5) {
        let mut world = two_regions(seed).misbehaving(everything_goes_wrong()).start().await;
        world.edit_every(SECOND / 5);
        for _ in 0..6 {
            world.pass_up_to(5 * SECOND).await;
            world.crash_some_agent(5 * SECOND).await;
            world.pass_up_to(5 * SECOND).await;
            world.crash_publisher(5 * SECOND).await;
        }
        world.settle().await.must_be_clean();
    }
}
