//! Agents and publishers killed at random points lose nothing that was accepted.

use broker_adapter::Misbehaviour;
use schemas::Outcome;
use schemas::api::ProgressState;
use tests::world::{Behaviour, CachePlan, World, url};

use crate::{SECOND, chained, missing, outcomes, seeds, two_regions};

#[tokio::test(start_paused = true)]
async fn agents_killed_at_random_lose_nothing() {
    for seed in seeds(3_000, 4) {
        let mut world = two_regions(seed).start().await;
        world.edit_every(SECOND / 5);
        for _ in 0..10 {
            world.pass_up_to(5 * SECOND).await;
            world.crash_some_agent(5 * SECOND).await;
        }
        let verdict = world.settle().await;
        verdict.must_be_clean();
        assert!(verdict.accepted > 50 && verdict.late > 0, "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn agents_of_chained_caches_killed_at_random_lose_nothing() {
    for seed in seeds(3_500, 4) {
        let mut world = chained(seed).start().await;
        world.edit_every(SECOND / 5);
        for _ in 0..10 {
            world.pass_up_to(10 * SECOND).await;
            world.crash_some_agent(SECOND).await;
        }
        world.settle().await.must_be_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn chained_caches_that_hold_next_to_nothing_for_later_passes_serve_nothing_stale() {
    let plan = World::seeded(3_700).region("eu", |region| {
        region.agent("e1", |agent| {
            let agent = agent.cache_with("redis", |cache| cache.passes(&[1]).holds(2));
            let order = |cache: CachePlan| cache.fills_from("redis").after("redis");
            agent.cache_with("web", |cache| order(cache).passes(&[1, 3]).holds(2))
        })
    });
    let mut world = plan.start().await;
    world.edit_every(SECOND / 5);
    for behaviour in [Behaviour::Down, Behaviour::Works, Behaviour::Down, Behaviour::Works] {
        world.behave("eu/e1/redis", behaviour);
        world.pass(20 * SECOND).await;
        world.crash_some_agent(SECOND).await;
    }
    let verdict = world.settle().await;
    verdict.must_be_clean();
    assert!(verdict.accepted > 100 && verdict.late > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_life_that_was_flushed_repeats_only_the_last_pass_of_the_flush() {
    let mut world = two_regions(46).start().await;
    world.pass(5 * SECOND).await;
    world.kill_agent("u1").await;
    let id = world.change(&url("/blog/0")).await;
    world.pass(5 * SECOND).await;
    let at_cache = |world: &World| world.purges_at("us/u1/web", "/blog/0");
    let before = at_cache(&world).len();
    world.start_agent("u1");
    let finished = world.until(id, ProgressState::Final).await;
    assert_eq!(outcomes(&finished), [Some(Outcome::Purged); 3]);
    let purges = &at_cache(&world)[before..];
    let (first, last) = (purges[0], purges[purges.len() - 1]);
    assert!(last >= first + 65 * SECOND, "{purges:?}");
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_publisher_killed_at_random_keeps_all_that_it_accepted() {
    for seed in seeds(4_000, 4) {
        let mut world = two_regions(seed).start().await;
        world.edit_every(SECOND / 5);
        for _ in 0..10 {
            world.pass_up_to(3 * SECOND).await;
            world.crash_publisher(3 * SECOND).await;
        }
        let verdict = world.settle().await;
        verdict.must_be_clean();
        assert!(verdict.accepted > 20, "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_accepted_while_the_broker_is_down_survives_the_publisher_too() {
    let plan = two_regions(45).misbehaving(Misbehaviour::default());
    let mut world = plan.start().await;
    world.misbehave(Misbehaviour { fail: 1.0, ..Misbehaviour::default() });
    let id = world.change(&url("/blog/0")).await;
    world.crash_publisher(SECOND).await;
    world.misbehave(Misbehaviour::default());
    world.until(id, ProgressState::Final).await;
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_restarted_publisher_still_knows_who_is_gone_and_since_when() {
    let mut world = two_regions(47).start().await;
    world.pass(100 * SECOND).await;
    world.kill_agent("u1").await;
    world.pass(60 * SECOND).await;
    world.crash_publisher(SECOND).await;
    let id = world.change(&url("/blog/0")).await;
    world.pass(100 * SECOND).await;
    let status = world.status(id).await;
    assert_eq!(missing(&status), ["us/u1/web: agent gone"]);
    assert!(
        status.missing[0]
            .since
            .is_some_and(|since| since + 50 * SECOND < status.facts.published_at)
    );
    world.start_agent("u1");
    world.until(id, ProgressState::Final).await;
    world.settle().await.must_be_clean();
}
