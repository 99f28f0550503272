//! What readers get while pages change.

use schemas::Priority;
use schemas::api::{InvalidationRequest, ProgressState};
use tests::world::{AgentPlan, Behaviour, CachePlan, Plan, Verdict, World, everything, url};

use crate::{SECOND, two_regions};

/// One region of one agent.
fn one_agent(seed: u64, plan: impl FnOnce(AgentPlan) -> AgentPlan) -> Plan {
    World::seeded(seed).region("eu", |region| region.agent("e1", plan))
}

async fn busy(plan: Plan) -> Verdict {
    let mut world = plan.start().await;
    world.edit_every(SECOND / 5);
    world.pass(60 * SECOND).await;
    world.settle().await
}

#[tokio::test(start_paused = true)]
async fn readers_of_busy_caches_get_nothing_stale() {
    let verdict = busy(two_regions(1)).await;
    verdict.must_be_clean();
    assert!(verdict.accepted > 100 && verdict.late > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_single_purge_leaves_stale_pages_behind_fetches_in_flight() {
    let plan = one_agent(2, |agent| agent.cache_with("web", |cache| cache.passes(&[])));
    let verdict = busy(plan).await;
    assert!(verdict.lost.is_empty() && verdict.stale_after_final > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_later_than_the_longest_fetch_leaves_none() {
    let plan = one_agent(2, |agent| agent.cache_with("web", |cache| cache.passes(&[1])));
    busy(plan).await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_caches_serves_nothing_stale() {
    let verdict = busy(one_agent(3, |agent| {
        let agent = agent.cache_with("redis", |cache| cache.passes(&[1]));
        agent.cache_after("web", "redis").cache_after("edge", "web")
    }));
    let verdict = verdict.await;
    verdict.must_be_clean();
    assert!(verdict.late > 0, "{verdict:?}");
}

/// The inner cache cannot be purged for a while; the outer one fills from it all the time.
async fn inner_down_for_a_while(order: fn(CachePlan) -> CachePlan) -> Verdict {
    let plan = one_agent(4, |agent| {
        let agent = agent.cache_with("redis", |cache| cache.passes(&[1]));
        agent.cache_with("web", |cache| order(cache.fills_from("redis").passes(&[1, 3])))
    });
    let mut world = plan.start().await;
    world.pass(5 * SECOND).await;
    world.behave("eu/e1/redis", Behaviour::Down);
    world.change(&everything()).await;
    world.pass(10 * SECOND).await;
    world.behave("eu/e1/redis", Behaviour::Works);
    world.settle().await
}

#[tokio::test(start_paused = true)]
async fn an_outer_cache_in_order_does_not_keep_what_a_stale_inner_one_gave() {
    let verdict = inner_down_for_a_while(|cache| cache.after("redis")).await;
    verdict.must_be_clean();
    assert!(verdict.late > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outer_cache_out_of_order_keeps_what_a_stale_inner_one_gave() {
    let verdict = inner_down_for_a_while(|cache| cache).await;
    assert!(verdict.lost.is_empty() && verdict.stale_after_final > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_critical_change_passes_a_flood_of_normal_ones() {
    let mut world = two_regions(5).start().await;
    for place in ["eu/e1/web", "eu/e2/web", "us/u1/web"] {
        world.behave(place, Behaviour::Slow(SECOND / 5));
    }
    let flood: Vec<_> = (0..3_000).map(|page| url(&format!("/flood/{page}"))).collect();
    futures::future::join_all(flood.iter().map(|request| world.ask(request))).await;
    let critical = InvalidationRequest { priority: Priority::Critical, ..url("/blog/0") };
    let id = world.change(&critical).await;
    let applied = world.until(id, ProgressState::Applied).await;
    let waited = applied.applied_ms.expect("it is applied");
    assert!(waited < 500.0, "{waited} ms");
    assert!(world.lanes().iter().any(|lane| lane.lag_numbers > 500), "the flood is under way");
    world.settle().await.must_be_clean();
}
