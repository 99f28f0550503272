//! A whole lane under random loss, repetition, permutation, failures and crashes, checked after every step.

mod inner;
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use schemas::{LogMessage, Number, Outcome};

use world::{Answer, BAD, EVERYTHING, Step, World};

fn step() -> impl Strategy<Value = Step> {
    let tags = prop::collection::vec(
        prop_oneof![16 => 0u8..6, 2 => Just(BAD), 1 => Just(EVERYTHING)],
        1..4,
    );
    prop_oneof![
        4 => (tags, 0usize..3, 0usize..6)
            .prop_map(|(tags, copies, late)| Step::Publish { tags, copies, late }),
        4 => (1usize..6).prop_map(Step::Read),
        6 => prop_oneof![
            4 => Just(Answer::Purged),
            4 => Just(Answer::Fenced),
            1 => Just(Answer::Unavailable),
            2 => Just(Answer::Judged),
        ].prop_map(Step::Land),
        3 => (1u64..4_000).prop_map(Step::Wait),
        3 => (0usize..6, 0usize..6).prop_map(|(settles, finishes)| Step::Inner { settles, finishes }),
        2 => (any::<bool>(), 1u64..10).prop_map(|(site, seconds)| Step::Pause { site, seconds }),
        1 => Just(Step::Resume),
        1 => (1u64..30).prop_map(Step::Cancel),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_number_ends_final_or_is_reported_as_a_hole(
        steps in prop::collection::vec(step(), 1..120),
        after_another: bool,
    ) {
        let mut world = World::new(after_another);
        for step in steps {
            world.step(step);
        }
        world.quiesce();
        let appended: BTreeSet<Number> = world.log.iter().filter_map(|message| match message {
            LogMessage::Frame(frame) => Some(frame.first),
            _ => None,
        }).collect();
        let committed = world.committed.len() as Number;
        let report = world.machine.report(world.now);
        let Some(line) = report.lines.first() else {
            prop_assert_eq!(committed, 0);
            return Ok(());
        };
        let holes: BTreeSet<Number> =
            line.holes.iter().flat_map(|hole| hole.first..=hole.last).collect();
        let finished = |number: &Number| {
            *number <= line.finished || line.finished_above.iter().any(|range| range.contains(*number))
        };
        for number in 1..=committed {
            prop_assert_eq!(finished(&number), appended.contains(&number), "number {}", number);
            prop_assert_eq!(holes.contains(&number), !appended.contains(&number), "hole {}", number);
        }
        prop_assert_eq!(world.machine.sizes().unsettled, 0);
        prop_assert_eq!(world.machine.sizes().rebounds, 0);
        prop_assert_eq!(world.machine.sizes().deferred, 0);
        for (range, _) in line.exceptions.iter().filter(|(_, it)| *it == Outcome::Cancelled) {
            for number in range.first..=range.last {
                prop_assert!(world.cancelled.contains(&number), "{} was not cancelled", number);
            }
        }
        let refused = line.exceptions.iter().filter(|(_, outcome)| *outcome == Outcome::Refused);
        for (range, _) in refused {
            let at = usize::try_from(range.first - 1).expect("small");
            prop_assert!(world.committed[at].contains(&BAD), "a good number became a dead letter");
        }
    }
}

#[test]
fn a_number_waits_for_the_last_pass_of_each_of_its_selectors() {
    let published = |tags: &[u8], copies| Step::Publish { tags: tags.to_vec(), copies, late: 0 };
    let mut world = World::new(true);
    let heard = [&[0][..], &[5], &[2], &[2], &[3, 2]].map(|tags| published(tags, 1));
    let lost = [(); 4].map(|()| published(&[0], 0));
    let inner = Step::Inner { settles: 5, finishes: 0 };
    let purged = Step::Land(Answer::Purged);
    let then = [Step::Read(2), Step::Read(4), inner, purged, Step::Wait(2_500)];
    for step in heard.into_iter().chain(lost).chain(then) {
        world.step(step);
    }
    world.quiesce();
}
