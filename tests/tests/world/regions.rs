//! Regions: what the status says of each, and that none holds up another.

use std::time::Duration;

use schemas::Outcome;
use schemas::api::{InvalidationRequest, ProgressState};
use tests::world::{prefix, tag, url};

use crate::{SECOND, missing, outcomes, region, states, two_regions};

#[tokio::test(start_paused = true)]
async fn a_change_is_applied_and_then_final_in_every_region() {
    let mut world = two_regions(10).start().await;
    let id = world.change(&url("/blog/0")).await;
    let applied = world.until(id, ProgressState::Applied).await;
    assert_eq!(states(&applied), ["eu", "us"].map(|name| (name, ProgressState::Applied)));
    assert_eq!(outcomes(&applied), [Some(Outcome::Purged); 3]);
    assert!(applied.applied_ms.is_some_and(|ms| ms < 100.0) && applied.final_at.is_none());
    let finished = world.until(id, ProgressState::Final).await;
    assert_eq!(states(&finished), ["eu", "us"].map(|name| (name, ProgressState::Final)));
    assert!(finished.final_ms.is_some_and(|ms| (65_000.0..65_200.0).contains(&ms)));
    assert_eq!((finished.applied_ms, missing(&finished)), (applied.applied_ms, Vec::new()));
    world.settle().await.must_be_clean();
}

#[tokio::test(start_paused = true)]
async fn a_region_cut_off_for_an_hour_ends_fresh_and_holds_up_nobody() {
    let plan = two_regions(11).reads_every(10 * SECOND);
    let mut world = plan.start().await;
    world.cut_off("us").await;
    world.edit_every(30 * SECOND);
    world.pass(Duration::from_mins(30)).await;
    let id = world.change(&tag("blog")).await;
    world.pass(Duration::from_mins(30)).await;
    let waiting = world.status(id).await;
    assert_eq!(states(&waiting), [("eu", ProgressState::Final), ("us", ProgressState::Blocked)]);
    assert!(region(&waiting, "eu").applied_ms.is_some_and(|ms| ms < 100.0));
    assert_eq!(missing(&waiting), ["us/u1/web: agent gone"]);
    world.reconnect("us");
    world.until(id, ProgressState::Final).await;
    let verdict = world.settle().await;
    verdict.must_be_clean();
    assert!(verdict.accepted > 100 && verdict.late > 0, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_for_one_region_leaves_the_others_alone() {
    let world = two_regions(12).start().await;
    let there = InvalidationRequest { regions: Some(vec!["us".to_owned()]), ..url("/blog/0") };
    let id = world.ask(&there).await;
    let finished = world.until(id, ProgressState::Final).await;
    assert_eq!(states(&finished), [("us", ProgressState::Final)]);
    let elsewhere = world.lanes().into_iter().filter(|lane| lane.region.as_str() == "eu");
    let purged = elsewhere.map(|lane| lane.outcomes.get(&Outcome::Purged).copied().unwrap_or(0));
    assert_eq!(purged.sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_region_without_agents_is_called_so_and_never_applied() {
    let world = two_regions(13).region("ap", |region| region).start().await;
    let id = world.ask(&prefix("/blog")).await;
    world.pass(100 * SECOND).await;
    let status = world.status(id).await;
    let finished = |name| (name, ProgressState::Final);
    let nobody = ("ap", ProgressState::NoAgents);
    assert_eq!(states(&status), [nobody, finished("eu"), finished("us")]);
    let there = InvalidationRequest { regions: Some(vec!["ap".to_owned()]), ..url("/blog/0") };
    let id = world.ask(&there).await;
    world.pass(100 * SECOND).await;
    assert_eq!(world.status(id).await.state, ProgressState::NoAgents);
    assert!(world.status(id).await.applied_at.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_on_its_way_counts_as_applied_and_is_named() {
    let world = two_regions(14).start().await;
    world.cut_off("us").await;
    let soon = InvalidationRequest { expires_in: Some("10s".to_owned()), ..url("/blog/0") };
    let id = world.ask(&soon).await;
    world.pass(30 * SECOND).await;
    world.reconnect("us");
    let finished = world.until(id, ProgressState::Final).await;
    assert_eq!(outcomes(&finished), [Outcome::Purged, Outcome::Purged, Outcome::Expired].map(Some));
    assert!(finished.applied_ms.is_some_and(|ms| ms > 30_000.0) && finished.missing.is_empty());
}
