//! What cannot be done is said, with who and why, and comes true once it can.

use std::time::Duration;

use schemas::Outcome;
use schemas::api::ProgressState;
use tests::world::{Behaviour, World, prefix, tag, url};

use crate::{SECOND, missing, outcomes, two_regions};

#[tokio::test(start_paused = true)]
async fn a_cache_that_cannot_purge_prefixes_blocks_them_by_name() {
    let plan = World::seeded(20).region("eu", |region| {
        let plain = |cache: tests::world::CachePlan| cache.without_prefixes();
        region.edge("e1").agent("e2", |agent| agent.cache_with("plain", plain))
    });
    let mut world = plan.start().await;
    let id = world.ask(&prefix("/blog")).await;
    world.pass(SECOND).await;
    let blocked = world.until(id, ProgressState::Blocked).await;
    assert_eq!(missing(&blocked), ["eu/e2/plain: unsupported: prefix"]);
    assert_eq!(outcomes(&blocked), [Outcome::Purged, Outcome::Unsupported].map(Some));
    let id = world.change(&url("/blog/0")).await;
    world.until(id, ProgressState::Final).await;
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn what_a_healthy_cache_refuses_is_blocked_and_nothing_else_is() {
    let mut world = two_regions(21).start().await;
    world.behave("us/u1/web", Behaviour::RefusesTags);
    let (refused, fine) = (tag("blog"), url("/shop/1"));
    let (refused, fine) = futures::join!(world.ask(&refused), world.change(&fine));
    world.pass(SECOND).await;
    let blocked = world.until(refused, ProgressState::Blocked).await;
    assert_eq!(missing(&blocked), ["us/u1/web: refused by the cache: a dead letter"]);
    world.until(fine, ProgressState::Final).await;
    assert_eq!(world.status(refused).await.state, ProgressState::Blocked, "as long as nobody acts");
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_gone_agent_is_missing_until_it_comes_back() {
    let mut world = two_regions(22).start().await;
    world.kill_agent("u1").await;
    let id = world.change(&url("/blog/0")).await;
    world.pass(30 * SECOND).await;
    let waiting = world.status(id).await;
    assert_eq!(waiting.state, ProgressState::Published);
    assert_eq!(missing(&waiting), ["us/u1/web: agent gone"]);
    world.pass(Duration::from_mins(15)).await;
    assert_eq!(world.status(id).await.state, ProgressState::Blocked);
    world.start_agent("u1");
    world.until(id, ProgressState::Final).await;
    let verdict = world.settle().await;
    verdict.must_be_clean();
    assert!(verdict.late > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_down_is_missing_with_its_error_and_then_catches_up() {
    let mut world = two_regions(23).start().await;
    world.behave("us/u1/web", Behaviour::Down);
    let id = world.change(&url("/blog/0")).await;
    world.pass(60 * SECOND).await;
    let waiting = world.status(id).await;
    assert_eq!(waiting.state, ProgressState::Published);
    assert_eq!(missing(&waiting), ["us/u1/web: circuit open: down on purpose"]);
    world.behave("us/u1/web", Behaviour::Works);
    world.until(id, ProgressState::Final).await;
    let verdict = world.settle().await;
    verdict.must_be_clean();
    assert!(verdict.late > 0, "{verdict:?}");
}
