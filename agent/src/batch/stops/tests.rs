//! Whatever is stopped and goes on in between: every waiter leaves once, and none of a paused site.

use proptest::prelude::*;
use schemas::{LineId, Mode, Selector};

use super::*;
use crate::Moment;

#[derive(Debug, Clone)]
enum Step {
    Add { site: u8, selector: Selector, number: u64 },
    SetAside(BTreeSet<u8>),
    Withdraw(u64),
    Purge,
    Fail,
    Split,
}

fn step() -> impl Strategy<Value = Step> {
    let path = "[ab]{1,2}";
    let selector = prop_oneof![
        3 => path.prop_map(|path| Selector::Tag(path.parse().expect("a tag"))),
        1 => path.prop_map(|path| Selector::Prefix {
            host: "www.example.com".parse().expect("a host"),
            path: format!("/{path}").parse().expect("a path"),
        }),
        1 => Just(Selector::Everything),
    ];
    prop_oneof![
        6 => (0u8..3, selector, 0u64..20)
            .prop_map(|(site, selector, number)| Step::Add { site, selector, number }),
        2 => prop::collection::btree_set(0u8..3, 0..3).prop_map(Step::SetAside),
        1 => (0u64..20).prop_map(Step::Withdraw),
        2 => Just(Step::Purge),
        1 => Just(Step::Fail),
        1 => Just(Step::Split),
    ]
}

fn site(site: u8) -> SiteName {
    format!("s{site}").parse().expect("a name")
}

fn place(number: u64) -> Place {
    Place { line: LineId::from_bytes([1; 16]), number }
}

fn numbers_of(entries: Vec<Entry>, into: &mut Vec<u64>) {
    for entry in entries {
        into.extend(entry.waiters.iter().map(|waiter| match waiter {
            Waiter::Number { place, .. } => place.number,
            other => panic!("{other:?}"),
        }));
        numbers_of(entry.riders, into);
    }
}

proptest! {
    #[test]
    fn every_waiter_leaves_once_and_none_of_a_paused_site(
        steps in prop::collection::vec(step(), 1..100)
    ) {
        let (mut queue, mut paused, mut waiting) = (Queue::default(), BTreeSet::new(), Vec::new());
        let mut left = Vec::new();
        for step in steps {
            match step {
                Step::Add { site: of, selector, number } => {
                    let purge = Purge::new(site(of), selector, Mode::Hard);
                    let waiter = Waiter::Number { place: place(number), expires_at: None };
                    queue.add(purge, waiter, Moment::ZERO);
                    waiting.push(number);
                }
                Step::SetAside(sites) => {
                    paused = sites.into_iter().map(site).collect();
                    queue.set_aside(paused.clone());
                }
                Step::Withdraw(number) => {
                    let places = HashSet::from([place(number)]);
                    let withdrawn = queue.waiting_for(&places);
                    queue.withdraw(&places);
                    prop_assert!(queue.waiting_for(&places).is_empty());
                    for _ in 0..withdrawn.get(&place(number)).copied().unwrap_or(0) {
                        left.push(number);
                    }
                }
                Step::Purge | Step::Fail | Step::Split => {
                    let taken = queue.take(3, &|_| false);
                    let stray = |entry: &Entry| paused.contains(&entry.purge.site);
                    prop_assert!(!taken.entries.iter().any(stray));
                    match step {
                        Step::Purge => numbers_of(taken.entries, &mut left),
                        Step::Split if taken.entries.len() > 1 => queue.split(taken.entries),
                        _ => queue.restore(taken.entries),
                    }
                }
            }
        }
        queue.set_aside(BTreeSet::new());
        while queue.len() > 0 {
            numbers_of(queue.take(3, &|_| false).entries, &mut left);
        }
        waiting.sort_unstable();
        left.sort_unstable();
        prop_assert_eq!(left, waiting);
        prop_assert_eq!(queue.waiting_since(), None);
    }
}
