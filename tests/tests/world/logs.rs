//! Logs that do not stay as they were, and agents that do not: what is lost shows in the numbers, and is made up for.

use schemas::Outcome;
use schemas::api::ProgressState;
use tests::world::{World, url};
use tokio::time::Instant;

use crate::misbehaviour::count;
use crate::{SECOND, missing, outcomes, seeds, two_regions};

/// Edits go on while `mischief` is done five times, agents and the publisher are killed in between, and all ends fresh.
async fn ends_fresh(seed: u64, mischief: impl Fn(&World, usize)) -> World {
    let mut world = two_regions(seed).on_a_log_that_changes().start().await;
    let flushed = count(&world, Outcome::Flushed);
    world.edit_every(SECOND / 3);
    for round in 0..5 {
        world.pass_up_to(10 * SECOND).await;
        mischief(&world, round);
        world.pass_up_to(3 * SECOND).await;
        match round {
            1 => world.crash_some_agent(5 * SECOND).await,
            3 => world.crash_publisher(2 * SECOND).await,
            _ => {}
        }
    }
    world.settle().await.must_be_clean();
    assert_eq!(count(&world, Outcome::Flushed), flushed, "the journal can repair everything");
    world
}

#[tokio::test(start_paused = true)]
async fn logs_rolled_back_recreated_and_trimmed_are_repaired_and_nobody_flushes() {
    for seed in seeds(9_000, 3) {
        ends_fresh(seed, |world, round| world.roll_back_log(3 + 7 * round)).await;
        ends_fresh(seed, |world, _| world.recreate_log()).await;
        ends_fresh(seed, |world, round| match round % 3 {
            0 => world.trim_log(20),
            1 => world.roll_back_log(25),
            _ => world.recreate_log(),
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_its_state_flushes() {
    let mut world = two_regions(46).start().await;
    world.pass(100 * SECOND).await;
    world.kill_agent("u1").await;
    world.forget_state("u1");
    let id = world.change(&url("/blog/0")).await;
    world.pass(5 * SECOND).await;
    world.start_agent("u1");
    let started = Instant::now();
    let finished = world.until(id, ProgressState::Final).await;
    assert_eq!(outcomes(&finished), [Outcome::Purged, Outcome::Purged, Outcome::Flushed].map(Some));
    assert!(started.elapsed() > 65 * SECOND, "{:?}", started.elapsed());
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn an_agent_under_a_new_name_is_a_new_agent_and_the_old_one_is_missed() {
    let mut world = two_regions(48).start().await;
    world.pass(100 * SECOND).await;
    let before = world.change(&url("/blog/0")).await;
    world.until(before, ProgressState::Final).await;
    world.rename_agent("u1", "u2").await;
    let meanwhile = world.change(&url("/blog/0")).await;
    world.pass(100 * SECOND).await;
    let status = world.status(meanwhile).await;
    assert_eq!(missing(&status), ["us/u1/web: agent gone"]);
    let lanes = world.lanes().into_iter().filter(|lane| lane.agent.as_str() == "u2");
    assert_eq!(lanes.filter(|lane| lane.ready).count(), 2);
    assert_eq!(world.status(before).await.state, ProgressState::Final);
}
