//! A lane on logs that lose, roll back to an older copy, are recreated, trimmed, or replaced by another mirror, with
//! publishers that repair what their journals hold: every number ends heard, repaired, or flushed.

mod world;

use proptest::prelude::*;
use schemas::Number;

use world::{Stay, Step, World};

fn step() -> impl Strategy<Value = Step> {
    let who = || 0usize..2;
    prop_oneof![
        8 => (who(), prop::bool::weighted(0.2)).prop_map(|(who, lost)| Step::Commit { who, lost }),
        6 => (1u32..15).prop_map(Step::Wait),
        2 => (1usize..30, who(), 0usize..30)
            .prop_map(|(messages, who, more)| Step::RollBack { messages, who, more }),
        1 => (who(), 0usize..60).prop_map(|(who, more)| Step::Recreate { who, more }),
        1 => (1usize..60).prop_map(Step::Trim),
        1 => (1usize..30).prop_map(Step::Mirror),
        2 => Just(Step::Subscribe),
        2 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_becomes_of_the_log_every_number_ends_heard_or_repaired_and_nobody_flushes(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.wait(100);
        prop_assert!(world.settled(), "{:#?}", world.machine.report(world.now));
        prop_assert_eq!(world.flushes_for_holes(), 0);
        prop_assert_eq!(world.holes(), []);
    }

    #[test]
    fn what_no_journal_holds_any_more_is_flushed(
        steps in prop::collection::vec(
            prop_oneof![9 => step(), 1 => (0usize..5).prop_map(Step::Forget)], 1..40
        )
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.wait(100);
        prop_assert!(world.settled(), "{:#?}", world.machine.report(world.now));
        prop_assert_eq!(world.holes(), []);
    }
}

/// A lane that has read a log of which nobody can repair anything.
fn nothing_to_repair() -> World {
    let mut world = World::new();
    for _ in 0..5 {
        world.commit(0, false);
        world.wait(2);
    }
    for publisher in &mut world.publishers {
        publisher.journal_from = Number::MAX;
    }
    world
}

#[test]
fn another_mirror_is_looked_through_before_anything_is_reported() {
    let mut world = nothing_to_repair();
    let cursor = world.cursor.clone();
    world.write_on(0, 20);
    world.log.drain(..12);
    world.cursor = cursor;
    world.crash();
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn an_older_copy_on_which_others_have_written_on_is_looked_through_before_anything_is_reported() {
    let mut world = nothing_to_repair();
    let beats = world.log.len();
    world.log.truncate(beats - 10);
    world.write_on(1, 30);
    world.step(Step::Subscribe);
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn a_recreated_log_that_has_outgrown_the_place_of_the_lane_is_looked_through() {
    let mut world = nothing_to_repair();
    world.step(Step::Recreate { who: 1, more: 200 });
    world.step(Step::Subscribe);
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn what_is_really_lost_is_reported_all_the_same_and_searched_for_once() {
    let mut world = World::new();
    world.wait(30);
    world.commit(0, true);
    world.step(Step::Subscribe);
    world.wait(9);
    assert!(world.holes().is_empty());
    world.wait(15);
    assert_eq!((world.settled(), world.repairs), (true, 1));
}

#[test]
fn what_the_log_lost_of_a_publisher_that_is_gone_is_flushed_for_once_others_tell_of_it() {
    let mut world = World::new();
    world.commit(0, false);
    world.wait(2);
    world.commit(0, true);
    world.commit(0, true);
    world.publishers[0].stay = Stay::Silent;
    world.publishers[0].journal_from = Number::MAX;
    world.wait(100);
    assert_eq!((world.settled(), world.flushes_for_holes()), (false, 0), "nobody can know");
    world.publishers[0].stay = Stay::Retired;
    world.wait(100);
    assert_eq!((world.settled(), world.flushes_for_holes()), (true, 1));
}
