//! What waits, and how it is packed.

use proptest::prelude::*;
use schemas::{LineId, Selector};

use super::*;

fn number(number: u64) -> Waiter {
    let place = Place { line: LineId::from_bytes([7; 16]), number };
    Waiter::Number { place, expires_at: None }
}

fn purge(selector: Selector) -> Purge {
    Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
}

fn url(path: &str) -> Selector {
    let url: schemas::Url = format!("https://www.example.com{path}").parse().expect("a valid url");
    let query = schemas::QueryMatch::Exact(url.query);
    Selector::Url { scheme: url.scheme, host: url.host, path: url.path, query }
}

fn prefix(path: &str) -> Selector {
    Selector::Prefix {
        host: "www.example.com".parse().expect("a host"),
        path: path.parse().expect("a path"),
    }
}

fn selector() -> impl Strategy<Value = Selector> {
    let path =
        prop::collection::vec("[ab]", 0..4).prop_map(|parts| format!("/{}", parts.join("/")));
    prop_oneof![
        6 => path.clone().prop_map(|path| url(&path)),
        2 => path.prop_map(|path| prefix(&path)),
        2 => "[xy]".prop_map(|tag| Selector::Tag(tag.parse().expect("a tag"))),
        1 => Just(Selector::Everything),
    ]
}

/// What a purge of `wider` removes, said without the code under test.
fn includes(wider: &Purge, narrower: &Purge) -> bool {
    let selectors = match (&wider.selector, &narrower.selector) {
        (a, b) if a == b => true,
        (Selector::Everything, _) => true,
        (
            Selector::Prefix { path, .. },
            Selector::Url { path: below, .. } | Selector::Prefix { path: below, .. },
        ) => {
            let (path, below) = (path.as_str(), below.as_str());
            path == below
                || below
                    .strip_prefix(path)
                    .is_some_and(|rest| path.ends_with('/') || rest.starts_with('/'))
        }
        _ => false,
    };
    selectors && wider.mode >= narrower.mode
}

fn waiters_of(entries: &[Entry], told: &mut Vec<Waiter>) {
    for entry in entries {
        told.extend(entry.waiters.iter().cloned());
        waiters_of(&entry.riders, told);
    }
}

proptest! {
    #[test]
    fn every_waiter_is_served_once_by_a_purge_that_includes_its_own(
        heard in prop::collection::vec((selector(), any::<bool>()), 1..60),
        max in 1usize..8,
        failing in prop::collection::vec(0u8..3, 0..20),
    ) {
        let mut queue = Queue::default();
        let mut wanted = std::collections::HashMap::new();
        for (at, (selector, soft)) in heard.iter().enumerate() {
            let purge = Purge { mode: if *soft { Mode::Soft } else { Mode::Hard }, ..purge(selector.clone()) };
            wanted.insert(number(at as u64), purge.clone());
            queue.add(purge, number(at as u64), Moment::ZERO);
        }
        let mut failing = failing.into_iter();
        let mut served = Vec::new();
        while queue.len() > 0 {
            let taken = queue.take(max, &|_| false);
            prop_assert!(!taken.entries.is_empty() && taken.entries.len() <= max);
            match failing.next() {
                Some(0) => queue.restore(taken.entries),
                Some(1) if taken.entries.len() > 1 => queue.split(taken.entries),
                _ => {
                    for entry in &taken.entries {
                        let mut told = Vec::new();
                        waiters_of(std::slice::from_ref(entry), &mut told);
                        for waiter in &told {
                            prop_assert!(includes(&entry.purge, &wanted[waiter]), "{} for {}", entry.purge.selector, wanted[waiter].selector);
                        }
                        served.extend(told);
                    }
                }
            }
        }
        prop_assert_eq!(served.len(), wanted.len());
        for waiter in &served {
            wanted.remove(waiter);
        }
        prop_assert!(wanted.is_empty());
    }
}

#[test]
fn equal_selectors_are_purged_once() {
    let mut queue = Queue::default();
    for at in 0..1_000 {
        queue.add(purge(url("/hot")), number(at), Moment::ZERO);
    }
    let taken = queue.take(100, &|_| false);
    assert_eq!(taken.batch().purges, [purge(url("/hot"))]);
    assert_eq!(taken.entries[0].waiters.len(), 1_000);
}

#[test]
fn a_wider_selector_heard_later_is_purged_in_the_turn_of_the_narrower() {
    let mut queue = Queue::default();
    queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
    queue.add(purge(url("/shop")), number(2), Moment::ZERO);
    queue.add(purge(prefix("/blog")), number(3), Moment::ZERO);
    let taken = queue.take(1, &|_| false);
    assert_eq!(taken.batch().purges, [purge(prefix("/blog"))]);
    assert_eq!(taken.entries[0].riders.len(), 1);
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_soft_purge_never_covers_a_hard_one() {
    let mut queue = Queue::default();
    queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
    queue.add(Purge { mode: Mode::Soft, ..purge(prefix("/blog")) }, number(2), Moment::ZERO);
    assert_eq!(queue.take(10, &|_| false).entries.len(), 2);
}

#[test]
fn an_expired_wider_selector_covers_nothing() {
    let mut queue = Queue::default();
    queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
    queue.add(purge(prefix("/blog")), number(2), Moment::ZERO);
    let taken = queue.take(10, &|waiter| *waiter == number(2));
    assert_eq!(taken.batch().purges, [purge(url("/blog/1"))]);
    assert_eq!(taken.expired, [number(2)]);
}

#[test]
fn a_refused_batch_comes_back_in_halves_until_the_culprit_is_alone() {
    let mut queue = Queue::default();
    for at in 0..8 {
        queue.add(purge(url(&format!("/{at}"))), number(at), Moment::ZERO);
    }
    let mut alone = Vec::new();
    let mut calls = 0;
    while queue.len() > 0 {
        calls += 1;
        let taken = queue.take(8, &|_| false);
        let bad = taken.entries.iter().any(|entry| entry.waiters.contains(&number(5)));
        match (bad, taken.entries.len()) {
            (false, _) => {}
            (true, 1) => alone.extend(taken.entries),
            (true, _) => queue.split(taken.entries),
        }
    }
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].waiters, [number(5)]);
    assert_eq!(calls, 7, "1 + 2 per halving");
}
